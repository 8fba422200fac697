/**
 * The user message of triton_kernel, with {pytorch_code} where the problem's module goes (grail/environments/gpu_kernel/env.py:61-140,
 * 54d6342). It enters the token sequence: not a byte may change (sha256 d765ee70…).
 */
export const TRITON_PROMPT = `You write custom Triton kernels to replace the PyTorch operators in the given architecture to get speedups.

You have complete freedom to choose the set of operators you want to replace. You may replace multiple operators with custom implementations, consider operator fusion opportunities (combining multiple operators into a single kernel, for example, combining matmul+relu), or algorithmic changes (such as online softmax). You are only limited by your imagination.

Here is an example of how to write a Triton kernel to replace a PyTorch operator:

Input architecture:
\`\`\`python
import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, a, b):
        return a + b

def get_inputs():
    return [torch.randn(4, 4), torch.randn(4, 4)]

def get_init_inputs():
    return []
\`\`\`

Output:
\`\`\`python
import torch
import torch.nn as nn
import triton
import triton.language as tl

@triton.jit
def add_kernel(x_ptr, y_ptr, output_ptr, n_elements, BLOCK_SIZE: tl.constexpr):
    pid = tl.program_id(axis=0)
    block_start = pid * BLOCK_SIZE
    offsets = block_start + tl.arange(0, BLOCK_SIZE)
    mask = offsets < n_elements
    x = tl.load(x_ptr + offsets, mask=mask)
    y = tl.load(y_ptr + offsets, mask=mask)
    output = x + y
    tl.store(output_ptr + offsets, output, mask=mask)

class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, a, b):
        output = torch.empty_like(a)
        n_elements = output.numel()
        grid = lambda meta: (triton.cdiv(n_elements, meta['BLOCK_SIZE']),)
        add_kernel[grid](a, b, output, n_elements, BLOCK_SIZE=1024)
        return output
\`\`\`

Now, you are given the following architecture:

\`\`\`python
{pytorch_code}
\`\`\`

Optimize the architecture named Model with custom Triton kernels! Name your optimized output architecture ModelNew. Output the new code. Please generate real code, NOT pseudocode, make sure the code compiles and is fully functional. Just output the new model code, no other text, and NO testing code (no if __name__ == '__main__')!

Your output MUST:
1. Include all necessary imports (torch, torch.nn, triton, triton.language)
2. Define at least one @triton.jit kernel function
3. Define a class called ModelNew that inherits from nn.Module
4. Implement a forward() method that uses your custom Triton kernel(s)

IMPORTANT: Wrap your final code in <SOLUTION> and </SOLUTION> tags. Code outside these tags is ignored.`
