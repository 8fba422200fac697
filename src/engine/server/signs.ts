/**
 * What servers write when a GPU's memory does not suffice: torch's exception, SGLang's "Not enough memory. Please try to
 * increase --mem-fraction-static" and full KV pool, vLLM's "No available memory for the cache blocks", in logs and in
 * the body of an error answer alike.
 */
const OUT_OF_MEMORY =
  /CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|Not enough memory\. Please try|KV cache pool is full|No available memory for the cache blocks/i

/** The bind error of uvicorn (both servers), of Python's asyncio, and SGLang's own check. */
const PORT_TAKEN =
  /address already in use|EADDRINUSE|error while attempting to bind on address|port \d+ is (already )?in use/i

export function saysOutOfMemory(text: string): boolean {
  return OUT_OF_MEMORY.test(text)
}

export function saysPortTaken(text: string): boolean {
  return PORT_TAKEN.test(text)
}
