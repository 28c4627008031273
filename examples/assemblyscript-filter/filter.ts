// The network filter in AssemblyScript: forwards well-formed HTTP/1 heads and TLS records to the host, refuses the rest.
// Its interface is filter.toml. Addresses and lengths come from the host as they are; the host pins what it allocates.
import { HEAD, INCOMPLETE, NOT, Head, findField, isSecret, parseHead } from "./http";
import { RECORDS, TLS_INCOMPLETE, walkRecords } from "./tls";

@external("env", "log")
declare function hostLog(level: u32, text: usize, length: u32): void;
@external("env", "forward")
declare function hostForward(data: usize, length: u32): u32;

const WAIT: i32 = 0;
const HTTP: i32 = 1;
const TLS: i32 = 2;
const REFUSED: i32 = -1;
const INFO: u32 = 1;

let forwarded: u64 = 0;

function log(message: string): void {
  const text = String.UTF8.encode(message);
  hostLog(INFO, changetype<usize>(text), text.byteLength);
}

function kindOf(data: usize, length: u32): i32 {
  const http = parseHead(data, length, new Head());
  if (http == HEAD) return HTTP;
  if (http == INCOMPLETE) return WAIT;
  if (http != NOT) return REFUSED;
  const tls = walkRecords(data, length);
  if (tls == RECORDS && length > 0) return TLS;
  return tls == TLS_INCOMPLETE ? WAIT : REFUSED;
}

export function on_new_connection(id: u64, host: usize, length: u32, port: u32): i32 {
  forwarded = 0;
  return length == 0 || port == 0 || port > 65535 ? -1 : 1;
}

export function on_data(data: usize, length: u32): i32 {
  const kind = kindOf(data, length);
  if (kind > 0) forwarded += hostForward(data, length);
  if (kind == REFUSED) log(`refused ${length} bytes`);
  return kind;
}

export function summary(data: usize, length: u32): u64 {
  const kind = kindOf(data, length);
  const text = kind == HTTP ? "HTTP/1 head" : kind == TLS ? "TLS records" : kind == WAIT ? "more is needed" : "unknown";
  const encoded = String.UTF8.encode(text);
  return ((changetype<usize>(encoded) as u64) << 32) | encoded.byteLength;
}

export function on_close(): u64 {
  return forwarded;
}

export function header_value(data: usize, length: u32, name: usize, value: usize, capacity: u32): i32 {
  const head = new Head();
  if (parseHead(data, length, head) != HEAD) return -1;
  if (!findField(data, head, name, cstringLength(name))) return -2;
  if (head.valueLength > capacity) return -3;
  memory.copy(value, data + head.valueAt, head.valueLength);
  return head.valueLength;
}

export function redact(data: usize, length: u32): u32 {
  const head = new Head();
  if (parseHead(data, length, head) == HEAD) {
    while (head.next(data)) {
      if (isSecret(data + head.nameAt, head.nameLength)) memory.fill(data + head.valueAt, 42, head.valueLength);
    }
  }
  return length;
}

function cstringLength(text: usize): u32 {
  let length: u32 = 0;
  while (load<u8>(text + length) != 0) length++;
  return length;
}
