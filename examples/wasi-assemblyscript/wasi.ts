// What this example needs of WASI preview 1: a file from the preopened directory, and standard error.

@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: u32, vectors: usize, count: u32, written: usize): u32;
@external("wasi_snapshot_preview1", "fd_read")
declare function fd_read(fd: u32, vectors: usize, count: u32, read: usize): u32;
@external("wasi_snapshot_preview1", "fd_close")
declare function fd_close(fd: u32): u32;
@external("wasi_snapshot_preview1", "path_open")
declare function path_open(fd: u32, lookup: u32, path: usize, length: usize, how: u32, rights: u64, inheriting: u64, flags: u32, opened: usize): u32;

const STDERR: u32 = 2;
const ROOT: u32 = 3;
const RIGHT_TO_READ: u64 = 2;
const CHUNK: u32 = 1024;

const vector = memory.data(8);
const answer = memory.data(4);
const chunk = memory.data(CHUNK);

/** Writes a text to standard error; what does not fit is lost. */
export function complain(text: string): void {
  const encoded = String.UTF8.encode(text);
  store<u32>(vector, changetype<usize>(encoded));
  store<u32>(vector, encoded.byteLength, 4);
  fd_write(STDERR, vector, 1, answer);
}

/** A file's text by its path in the preopened directory; null when it cannot be read. */
export function readText(path: string): string | null {
  const encoded = String.UTF8.encode(path);
  if (path_open(ROOT, 0, changetype<usize>(encoded), encoded.byteLength, 0, RIGHT_TO_READ, 0, 0, answer) != 0) return null;
  const file = load<u32>(answer);
  let text = "";
  store<u32>(vector, chunk);
  store<u32>(vector, CHUNK, 4);
  while (fd_read(file, vector, 1, answer) == 0 && load<u32>(answer) > 0) {
    text += String.UTF8.decodeUnsafe(chunk, load<u32>(answer));
  }
  fd_close(file);
  return text;
}
