// The network filter of schemas/filter.toml in AssemblyScript: peers named in /etc/refused are refused, one a line, and
// refused data is reported on standard error.
import { complain, readText } from "./wasi";

@external("env", "log")
declare function hostLog(level: u32, text: usize, length: u32): void;
@external("env", "forward")
declare function hostForward(data: usize, length: u32): u32;

const WAIT: i32 = 0;
const HTTP: i32 = 1;
const TLS: i32 = 2;
const REFUSED: i32 = -1;

let forwarded: u64 = 0;

function isRefused(host: string): bool {
  const list = readText("etc/refused");
  return list !== null && list.split("\n").includes(host);
}

function kindOf(data: usize, length: u32): i32 {
  if (length < 5) return WAIT;
  const first = load<u8>(data);
  if (first >= 20 && first <= 23 && load<u8>(data, 1) == 3) return TLS;
  for (let i: u32 = 0; i + 1 < length && load<u8>(data + i) >= 65 && load<u8>(data + i) <= 90; i++) {
    if (load<u8>(data + i, 1) == 32) return HTTP;
  }
  return REFUSED;
}

export function on_new_connection(id: u64, host: usize, length: u32, port: u32): i32 {
  forwarded = 0;
  if (length == 0 || port == 0 || port > 65535) return -1;
  return isRefused(String.UTF8.decodeUnsafe(host, length)) ? -1 : 1;
}

export function on_data(data: usize, length: u32): i32 {
  const kind = kindOf(data, length);
  if (kind > 0) forwarded += hostForward(data, length);
  if (kind == REFUSED) {
    const text = String.UTF8.encode("neither HTTP/1 nor TLS");
    hostLog(1, changetype<usize>(text), text.byteLength);
    complain(`refused ${length} bytes\n`);
  }
  return kind;
}

export function summary(data: usize, length: u32): u64 {
  const kind = kindOf(data, length);
  const text = kind == HTTP ? "HTTP/1 request" : kind == TLS ? "TLS record" : kind == WAIT ? "too short to say" : "unknown";
  const encoded = String.UTF8.encode(text);
  return ((changetype<usize>(encoded) as u64) << 32) | encoded.byteLength;
}

export function on_close(): u64 {
  return forwarded;
}
