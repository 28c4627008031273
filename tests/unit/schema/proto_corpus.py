"""Protobuf constructs, one file each, by name; PKG stands for the file's own package."""

from __future__ import annotations

from typing import Final

_2: Final = 'syntax = "proto2"; package PKG;\n'
_3: Final = 'syntax = "proto3"; package PKG;\n'
_E: Final = 'edition = "2023"; package PKG;\n'

_INTEGERS: Final = ["int32", "int64", "uint32", "uint64", "sint32", "sint64"]
_FIXED: Final = ["fixed32", "fixed64", "sfixed32", "sfixed64"]
_KEYS: Final = [*_INTEGERS, *_FIXED, "bool", "string"]
_ELEMENTS: Final = [*_KEYS, "bytes", "double", "float"]


def _message(form: str, types: list[str]) -> str:
    fields = "".join(form.replace("TYPE", t).replace("ID", str(i)) for i, t in enumerate(types, 1))
    return f"message M {{ {fields} }}"


_WRITTEN: Final = r"""

### no syntax line
package PKG; message M { optional int32 a = 1; }

### empty message
syntax = "proto3"; package PKG;
message M {}

### proto2 packed
syntax = "proto2"; package PKG;
message M { repeated int32 a = 1 [packed = true]; repeated E b = 2 [packed = true]; enum E { X = 0; } }

### proto3 not packed
syntax = "proto3"; package PKG;
message M { repeated int32 a = 1 [packed = false]; repeated double b = 2; }

### map of messages
syntax = "proto3"; package PKG;
message M { map<int64, M> m = 1; map<string, N> n = 2; message N {} }

### map of enums
syntax = "proto3"; package PKG;
enum E { A = 0; } message M { map<bool, E> m = 1; }

### proto2 map
syntax = "proto2"; package PKG;
enum E { A = 0; } message M { map<string, string> m = 1; map<int32, E> e = 2; }

### edition map
edition = "2023"; package PKG;
message M { map<string, M> m = 1; map<string, string> s = 2 [features.utf8_validation = NONE]; }

### edition map in delimited file
edition = "2023"; package PKG; option features.message_encoding = DELIMITED; message M { map<int32, M> m =
  1; M n = 2; repeated M o = 3; }

### oneof of messages
syntax = "proto3"; package PKG;
message M { oneof o { M m = 1; N n = 2; } message N {} }

### oneof between fields
syntax = "proto3"; package PKG;
message M { int32 a = 1; oneof o { int32 c = 3; string b = 2; } int32 d = 9; }

### two oneofs
syntax = "proto3"; package PKG;
message M { oneof o { int32 a = 1; int32 c = 3; } oneof p { int32 b = 2; int32 d = 4; } }

### oneof of one
syntax = "proto3"; package PKG;
message M { oneof o { int32 a = 1; } }

### proto2 oneof with group
syntax = "proto2"; package PKG;
message M { oneof o { group G = 1 { optional int32 a = 1; } int32 b = 2; } }

### proto2 oneof with default
syntax = "proto2"; package PKG;
message M { oneof o { int32 a = 1 [default = 7]; string b = 2 [default = "x"]; } }

### oneof beside proto3 optional
syntax = "proto3"; package PKG;
message M { optional int32 a = 1; oneof o { int32 b = 2; } optional string c = 3; }

### edition oneof
edition = "2023"; package PKG;
message M { option features.message_encoding = DELIMITED; oneof o { option features.message_encoding =
  LENGTH_PREFIXED; M m = 1; M n = 2 [features.message_encoding = DELIMITED]; } M p = 3; }

### group
syntax = "proto2"; package PKG;
message M { optional group G = 1 { optional int32 a = 1; } }

### required group
syntax = "proto2"; package PKG;
message M { required group G = 1 { required int32 a = 1; } }

### repeated group
syntax = "proto2"; package PKG;
message M { repeated group Gs = 1 { repeated group Inner = 1 { optional bytes b = 2; } } }

### edition delimited
edition = "2023"; package PKG;
message N {} message M { N a = 1 [features.message_encoding = DELIMITED]; N b = 2; }

### open enum
syntax = "proto3"; package PKG;
enum E { ZERO = 0; ONE = 1; NEGATIVE = -1; } message M { E e = 1; repeated E es = 2; optional E o = 3; }

### closed enum
syntax = "proto2"; package PKG;
enum E { ONE = 1; TWO = 2; } message M { optional E e = 1; required E r = 2; repeated E es = 3; }

### edition closed enum
edition = "2023"; package PKG;
enum E { option features.enum_type = CLOSED; ONE = 1; } enum O { Z = 0; } message M { E e = 1; O o = 2; }

### edition closed file
edition = "2023"; package PKG; option features.enum_type = CLOSED; enum E { ONE = 1; } enum O { option
  features.enum_type = OPEN; Z = 0; } message M { enum I { T = 2; } I i = 1; E e = 2; O o = 3; }

### enum with aliases
syntax = "proto3"; package PKG;
enum E { option allow_alias = true; A = 0; B = 0; C = 1; D = 1; } message M { E e = 1; }

### enum of limits
syntax = "proto3"; package PKG;
enum E { A = 0; MIN = -2147483648; MAX = 0x7fffffff; }

### nested enum
syntax = "proto3"; package PKG;
message M { enum E { A = 0; } E e = 1; message N { E e = 1; enum E { B = 0; } } }

### deprecated
syntax = "proto3"; package PKG;
message M { option deprecated = true; int32 a = 1 [deprecated = true]; } enum E { option deprecated = true;
  A = 0; B = 1 [deprecated = true]; }

### reserved
syntax = "proto3"; package PKG;
message M { reserved 2, 15, 9 to 11, 100 to max; reserved "foo", "bar"; } enum E { A = 0; reserved 2, 5 to
  9, 100 to max; reserved "X"; }

### edition reserved
edition = "2023"; package PKG;
message M { reserved foo, bar; reserved 4; }

### defaults
syntax = "proto2"; package PKG;
message M { optional int32 i = 1 [default = -0x10]; optional string s = 2 [default = "a\tb\"é"]; optional
  bytes b = 3 [default = "\x00\xff"]; optional float f = 4 [default = inf]; optional double d = 5 [default =
  nan]; optional bool o = 6 [default = true]; optional E e = 7 [default = B]; optional double x = 8 [default
  = -1.5e10]; } enum E { A = 0; B = 1; }

### edition default
edition = "2023"; package PKG;
message M { int32 i = 1 [default = 5]; }

### recursive
syntax = "proto3"; package PKG;
message A { B b = 1; repeated A as = 2; } message B { A a = 1; map<string, A> m = 2; }

### nested messages
syntax = "proto3"; package PKG;
message A { message B { message C { message D { A a = 1; } D d = 1; } C c = 1; } B b = 1; B.C.D d = 2; }

### numbers of fields
syntax = "proto3"; package PKG;
message M { int32 a = 536870911; int32 b = 18999; int32 c = 20000; int32 d = 1; int32 e = 16; int32 f =
  2048; }

### fields out of order
syntax = "proto3"; package PKG;
message M { int32 c = 3; int32 a = 1; int32 b = 2; }

### keywords as names
syntax = "proto3"; package PKG;
message message { string string = 1; int32 message = 2; bool import = 3; int32 class = 4; int32 None = 5;
  int32 optional = 6; int32 package = 7; }

### unlovely names
syntax = "proto3"; package PKG;
message m_X1 { int32 _a = 1; int32 __b = 2; int32 C_ = 3; int32 camelCase = 4; int32 UPPER = 5; }

### names of values
syntax = "proto3"; package PKG;
message M { int32 cls = 1; int32 self = 2; int32 message = 3; int32 f1 = 9; int32 f9 = 10; }

### relative names
syntax = "proto3"; package PKG;
message PKGX {} message A { message B {} message C { B b = 1; .PKG.A.B d = 2; A.B e = 3; PKG.A f = 4; } }

### edition presence
edition = "2023"; package PKG;
message M { int32 a = 1; int32 b = 2 [features.field_presence = IMPLICIT]; int32 c = 3
  [features.field_presence = LEGACY_REQUIRED]; M d = 4; N e = 5 [features.field_presence = LEGACY_REQUIRED];
  }
message N {}

### edition implicit file
edition = "2023"; package PKG; option features.field_presence = IMPLICIT; enum E { A = 0; } message M {
  int32 a = 1; string s = 2; E e = 3; M m = 4; repeated int32 r = 5; int32 x = 6 [features.field_presence =
  EXPLICIT]; oneof o { int32 y = 7; } }

### edition expanded
edition = "2023"; package PKG;
message M { repeated int32 a = 1; repeated int32 b = 2 [features.repeated_field_encoding = EXPANDED];
  repeated string c = 3; }

### edition expanded file
edition = "2023"; package PKG; option features.repeated_field_encoding = EXPANDED; message M { repeated
  int32 a = 1; repeated bool b = 2 [features.repeated_field_encoding = PACKED]; }

### edition unchecked strings
edition = "2023"; package PKG; option features.utf8_validation = NONE; message M { string a = 1; string b =
  2 [features.utf8_validation = VERIFY]; repeated string c = 3; oneof o { string d = 4; } }

### edition nested inheritance
edition = "2023"; package PKG;
message A { option features.message_encoding = DELIMITED; message B { A a = 1; B b = 2
  [features.message_encoding = LENGTH_PREFIXED]; } B b = 1; } message C { A a = 1; }

### edition 2024
edition = "2024"; package PKG;
message M { int32 count = 1; string name = 2; repeated M kids = 3; }

### well-known types
syntax = "proto3"; package PKG; import "google/protobuf/any.proto"; import
  "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto"; import
  "google/protobuf/wrappers.proto"; import "google/protobuf/empty.proto"; import
  "google/protobuf/field_mask.proto"; import "google/protobuf/duration.proto"; message M {
  google.protobuf.Any a = 1; google.protobuf.Timestamp t = 2; google.protobuf.Struct s = 3;
  google.protobuf.StringValue v = 4; google.protobuf.Empty e = 5; google.protobuf.FieldMask f = 6;
  google.protobuf.Duration d = 7; google.protobuf.NullValue n = 8; }

### import public
syntax = "proto3"; package PKG; import public "google/protobuf/type.proto";
message M { google.protobuf.Type t = 1; }

### extensions
syntax = "proto2"; package PKG;
message M { extensions 100 to 199, 1000 to max; optional int32 a = 1; } extend M { optional int32 x = 100;
  repeated string y = 101; } message N { extend M { optional N n = 102; } }

### message set
syntax = "proto2"; package PKG;
message M { option message_set_wire_format = true; extensions 4 to max; }

### custom options
syntax = "proto2"; package PKG; import "google/protobuf/descriptor.proto"; extend
  google.protobuf.FieldOptions { optional string rule = 50000; } extend google.protobuf.MessageOptions {
  optional Sub sub = 50001; } message Sub { optional int32 a = 1; } message M { option (sub) = { a: 1 };
  optional int32 f = 1 [(rule) = "x", json_name = "F"]; }
service S { rpc A(M) returns (Sub); }

### service
syntax = "proto3"; package PKG;
message Q {} message R {} service FilterGuest { rpc OnData(Q) returns (R); rpc on_end(Q) returns (R) {} }
  service FilterHost { rpc Log(Q) returns (R) { option deprecated = true; } } service Plain { rpc X(R)
  returns (Q); } service Nothing {}

### options that change no byte
syntax = "proto2"; package PKG; option java_package = "a.b"; option optimize_for = SPEED; option go_package
  = "x"; message M { optional string s = 1 [ctype = CORD]; optional int64 j = 2 [jstype = JS_STRING];
  optional M m = 3 [lazy = true]; }

### comments everywhere
/* a */ syntax /* b */ = "proto3"; // c
/* import "no.proto"; */ package PKG; // import "no.proto";
message /* d */ M { int32 /* e */ a = /* f */ 1; // g
}

### strings with comments
syntax = "proto2"; package PKG;
message M { optional string a = 1 [default = "// not /* a comment \" import \"x\";"]; optional string b = 2
  [default = '"']; }

### joined strings
syntax = "pro" "to3"; package PKG; import "google/protobuf/" /* x */ 'empty.proto'; message M {
  google.protobuf.Empty e = 1; }

### numbers in all bases
syntax = "proto3"; package PKG;
message M { int32 a = 0x1; int32 b = 02; int32 c = 10; } enum E { A = 0; B = 0xff; C = 010; }

### semicolons
syntax = "proto3"; package PKG;
; ; message M { ; int32 a = 1; ; } ; enum E { A = 0; ; } ;

### unicode comments
syntax = "proto3"; package PKG;
// Grüße, 世界 🎉
message M { /* ü */ int32 a = 1; }
"""

_MADE: Final = {
    "empty file": _3,
    "proto2 optional of each type": _2 + _message("optional TYPE f_TYPE = ID;", _ELEMENTS),
    "proto2 required of each type": _2 + _message("required TYPE f_TYPE = ID;", _ELEMENTS),
    "proto2 repeated of each type": _2 + _message("repeated TYPE f_TYPE = ID;", _ELEMENTS),
    "proto3 implicit of each type": _3 + _message("TYPE f_TYPE = ID;", _ELEMENTS),
    "proto3 optional of each type": _3 + _message("optional TYPE f_TYPE = ID;", _ELEMENTS),
    "proto3 repeated of each type": _3 + _message("repeated TYPE f_TYPE = ID;", _ELEMENTS),
    "edition of each type": _E + _message("TYPE f_TYPE = ID;", _ELEMENTS),
    "edition repeated of each type": _E + _message("repeated TYPE f_TYPE = ID;", _ELEMENTS),
    "maps of each key": _3 + _message("map<TYPE, int32> m_TYPE = ID;", _KEYS),
    "maps of each value": _3 + _message("map<string, TYPE> m_TYPE = ID;", _ELEMENTS),
    "oneof of each type": _3 + _message("TYPE f_TYPE = ID;", _ELEMENTS).replace("{", "{ oneof o {") + "}",
    "carriage returns and tabs": _3.replace("\n", "\r\n") + "message M {\r\n\tint32 a = 1;\t// x\r\n}\r\n",
    "byte order mark": "\ufeff" + _3 + "message M { int32 a = 1; }",
    "many fields": _3 + _message("int32 TYPE = ID;", [f"f{i}" for i in range(300)]),
    "deepest nesting": _3 + "".join(f"message M{i} {{" for i in range(30)) + "}" * 30,
    "long names": _3 + f"message {'M' * 200} {{ int32 {'f' * 200} = 1; }}",
}

CONSTRUCTS: Final[dict[str, str]] = {
    **{name: text for name, _, text in (part.partition("\n") for part in _WRITTEN.split("\n### ")[1:])},
    **_MADE,
}
