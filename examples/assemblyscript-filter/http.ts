// A parser of HTTP/1 message heads (RFC 9112 sections 2 to 5): start line and header fields, bounds-checked.

export const NOT: i32 = 0;
export const INCOMPLETE: i32 = 1;
export const BAD: i32 = 2;
export const HEAD: i32 = 3;

const CR: u8 = 13;
const LF: u8 = 10;
const SP: u8 = 32;
const TAB: u8 = 9;
const COLON: u8 = 58;
const MAX_LENGTH: u32 = 0x0fffffff;

/** Where the head is, and the field that `next` found. Offsets and lengths in bytes from the start of the message. */
export class Head {
  fieldsAt: u32 = 0;
  end: u32 = 0; // of the last field line
  at: u32 = 0;
  nameAt: u32 = 0;
  nameLength: u32 = 0;
  valueAt: u32 = 0;
  valueLength: u32 = 0;

  /** Goes to the next field of a head that parsed; false after the last one. */
  next(data: usize): bool {
    if (this.at >= this.end) return false;
    const lineEnd = endOfLine(data, this.end, this.at);
    this.nameAt = this.at;
    let i = this.at;
    while (byte(data, i) != COLON) i++;
    this.nameLength = i - this.at;
    let from = i + 1;
    let to = lineEnd;
    while (from < to && isBlank(byte(data, from))) from++;
    while (to > from && isBlank(byte(data, to - 1))) to--;
    this.valueAt = from;
    this.valueLength = to - from;
    this.at = lineEnd + 2;
    return true;
  }
}

export function parseHead(data: usize, length: u32, head: Head): i32 {
  if (!looksLikeStart(data, length)) return NOT;
  let end = endOfLine(data, length, 0);
  if (end == length) return INCOMPLETE;
  if (!startLineOk(data, end)) return BAD;
  let at = end + 2;
  head.fieldsAt = head.at = at;
  end = endOfLine(data, length, at);
  while (end != at) {
    if (end == length) return INCOMPLETE;
    if (!fieldOk(data + at, end - at)) return BAD;
    at = end + 2;
    end = endOfLine(data, length, at);
  }
  if (end == length) return INCOMPLETE;
  head.end = at;
  return HEAD;
}

/** Finds the first field of this name, in any case, in a head that parsed. */
export function findField(data: usize, head: Head, name: usize, length: u32): bool {
  head.at = head.fieldsAt;
  while (head.next(data)) {
    if (head.nameLength == length && sameName(data + head.nameAt, name, length)) return true;
  }
  return false;
}

/** Fields whose values are credentials. */
export function isSecret(name: usize, length: u32): bool {
  return isNamed(name, length, "authorization") || isNamed(name, length, "cookie");
}

// @ts-ignore: decorator
@inline
function byte(data: usize, at: u32): u8 {
  return load<u8>(data + at);
}

// @ts-ignore: decorator
@inline
function isBlank(c: u8): bool {
  return c == SP || c == TAB;
}

function lower(c: u8): u8 {
  return c >= 65 && c <= 90 ? c + 32 : c;
}

function sameName(a: usize, b: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) if (lower(byte(a, i)) != lower(byte(b, i))) return false;
  return true;
}

function isNamed(name: usize, length: u32, wanted: string): bool {
  if (length != <u32>wanted.length) return false;
  for (let i: u32 = 0; i < length; i++) if (<i32>lower(byte(name, i)) != wanted.charCodeAt(i)) return false;
  return true;
}

function startsWith(data: usize, length: u32, text: string): bool {
  if (length < <u32>text.length) return false;
  for (let i = 0; i < text.length; i++) if (<i32>byte(data, i) != text.charCodeAt(i)) return false;
  return true;
}

/** RFC 9110 section 5.6.2. */
function isToken(c: u8): bool {
  if ((c >= 48 && c <= 57) || (c >= 65 && c <= 90) || (c >= 97 && c <= 122)) return true;
  return c > SP && c < 127 && "!#$%&'*+-.^_`|~".includes(String.fromCharCode(c));
}

/** Index of the CR of the CR LF that ends the line which starts at `at`, or `length` when there is none yet. */
function endOfLine(data: usize, length: u32, at: u32): u32 {
  for (let i = at; i + 1 < length; i++) if (byte(data, i) == CR && byte(data, i + 1) == LF) return i;
  return length;
}

function looksLikeStart(data: usize, length: u32): bool {
  if (startsWith(data, length, "HTTP/")) return true;
  let i: u32 = 0;
  while (i < length && i < 16 && byte(data, i) >= 65 && byte(data, i) <= 90) i++;
  return i > 0 && i < length && byte(data, i) == SP;
}

function startLineOk(line: usize, length: u32): bool {
  if (length >= 12 && startsWith(line, length, "HTTP/1."))
    return byte(line, 8) == SP && byte(line, 9) >= 49 && byte(line, 9) <= 53;
  if (length < 14 || !startsWith(line + length - 9, 9, " HTTP/1.")) return false;
  for (let i: u32 = 0; i < length; i++) if (byte(line, i) < SP || byte(line, i) == 127) return false;
  return true;
}

function fieldOk(line: usize, length: u32): bool {
  let colon: u32 = 0;
  while (colon < length && isToken(byte(line, colon))) colon++;
  if (colon == 0 || colon == length || byte(line, colon) != COLON) return false;
  for (let i = colon + 1; i < length; i++) {
    const c = byte(line, i);
    if ((c < SP && c != TAB) || c == 127) return false;
  }
  return !isNamed(line, colon, "content-length") || lengthOk(line, length, colon + 1);
}

function lengthOk(line: usize, length: u32, at: u32): bool {
  while (at < length && byte(line, at) == SP) at++;
  if (at == length) return false;
  let value: u32 = 0;
  for (; at < length && byte(line, at) != SP; at++) {
    const c = byte(line, at);
    if (c < 48 || c > 57 || value > MAX_LENGTH) return false;
    value = value * 10 + (c - 48);
  }
  return true;
}
