"""Writes a tiny model that tells stories of many lengths: story_checkpoint.py FOLDER BODY.

Attention and MLP add nothing, so a token's successor depends on that token alone, and a server without a GPU can sample
from the very model that the proof worker holds. A completion is an opening of 33 tokens, no shorter than what a validator
takes, a body of BODY tokens on average, exponentially distributed, and an end after which EOS is all but certain. The
probabilities of its tokens are those of a text rather than of noise: validators look at them.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from byte_model import EOS, forget_context, write_tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

WIDTH = 64
LONGEST = 4096
OPENING = 33
#: Likely successors in every place, and how much less likely the next one is than the one before it.
CHOICES, FALL = 3, 0.5
#: Logit of everything else: less likely than any token of a text of this length.
NEVER = -30.0

folder, body = Path(sys.argv[1]), float(sys.argv[2])
vocabulary = write_tokenizer(folder, longest=LONGEST)
model = LlamaForCausalLM(
    LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LONGEST,
        eos_token_id=EOS,
        pad_token_id=EOS,
        bos_token_id=None,
    )
)

#: Places of a story, in the order they are come through; a token belongs to one, everything else to the beginning.
BEGINNING, BODY, END = 0, OPENING, OPENING + 1
places = torch.full((vocabulary,), BEGINNING)
tokens_of = {place: range(3 + CHOICES * (place - 1), 3 + CHOICES * place) for place in range(1, BODY + 1)}
for place, tokens in tokens_of.items():
    places[list(tokens)] = place
full_stop = 3 + CHOICES * BODY
places[full_stop] = END

logits = torch.full((vocabulary, WIDTH), NEVER)
fall = torch.arange(CHOICES) * -FALL
for place in range(BEGINNING, BODY + 1):
    logits[list(tokens_of[min(place + 1, BODY)]), place] = fall
# The body goes on in all cases but one of BODY.
logits[full_stop, BODY] = float(fall.exp().sum().log()) - math.log(body - 1)
logits[EOS, END] = 0.0

state = model.state_dict()
# The norm before the head makes a state of one 1 into one of sqrt(WIDTH).
state["model.embed_tokens.weight"].copy_(torch.nn.functional.one_hot(places, WIDTH).float())
state["lm_head.weight"].copy_(logits / math.sqrt(WIDTH))
forget_context(model)
model.to(torch.bfloat16).save_pretrained(folder)
