// A parser of TLS record headers (RFC 8446 section 5.1).

export const TLS_NOT: i32 = 0;
export const TLS_INCOMPLETE: i32 = 1;
export const TLS_BAD: i32 = 2;
export const RECORDS: i32 = 3;

const HEADER: u32 = 5;
const HANDSHAKE_HEADER: u32 = 4;
const MAX_RECORD: u32 = 16384 + 2048; // the largest TLSCiphertext of TLS 1.2, RFC 5246 section 6.2.3
const HANDSHAKE: u8 = 22;

/** Whether the bytes are TLS records, one after the other, the last one whole. */
export function walkRecords(data: usize, length: u32): i32 {
  let at: u32 = 0;
  while (at < length) {
    const record = data + at;
    const left = length - at;
    if (!looksLikeRecord(record, left)) return at > 0 ? TLS_BAD : TLS_NOT;
    if (left < HEADER) return TLS_INCOMPLETE;
    const size = (<u32>load<u8>(record + 3) << 8) | load<u8>(record + 4);
    if (size == 0 || size > MAX_RECORD) return TLS_BAD;
    if (size > left - HEADER) return TLS_INCOMPLETE;
    if (isHello(record, size) && helloLength(record) > size - HANDSHAKE_HEADER) return TLS_INCOMPLETE;
    at += HEADER + size;
  }
  return RECORDS;
}

function looksLikeRecord(record: usize, left: u32): bool {
  return left >= 3 && load<u8>(record) >= 20 && load<u8>(record) <= 24 && load<u8>(record + 1) == 3 && load<u8>(record + 2) <= 4;
}

/** A plaintext ClientHello or ServerHello, which may go on in the next record. */
function isHello(record: usize, size: u32): bool {
  const type = load<u8>(record + HEADER);
  return load<u8>(record) == HANDSHAKE && size >= HANDSHAKE_HEADER && (type == 1 || type == 2) && load<u8>(record + HEADER + 1) == 0;
}

function helloLength(record: usize): u32 {
  const body = record + HEADER;
  return (<u32>load<u8>(body + 1) << 16) | (<u32>load<u8>(body + 2) << 8) | load<u8>(body + 3);
}
