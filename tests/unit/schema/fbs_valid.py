"""Schemas that flatc 25.12 accepts, one construct or corner of the language each."""

# Schemas read best as they are written: one a line.
# ruff: noqa: E501

from __future__ import annotations

VALID: dict[str, str] = {
    "empty_table": "table T {}",
    "every_scalar": """
        table T { a:bool; b:byte; c:ubyte; d:short; e:ushort; f:int; g:uint; h:long; i:ulong; j:float; k:double; }
    """,
    "scalar_synonyms": """
        table T { a:int8; b:uint8; c:int16; d:uint16; e:int32; f:uint32; g:int64; h:uint64; i:float32; j:float64; }
    """,
    "strings_and_vectors": """
        struct P { x:int; }
        enum E : byte { A, B }
        table T { s:string; a:[ubyte]; b:[string]; c:[T]; d:[P]; e:[E]; f:[bool]; g:[double]; h:[int8]; }
    """,
    "integer_defaults": """
        table T { a:int = 5; b:int = -5; c:int = +5; d:uint = 0xFF; e:long = -0x10; f:int = 007; g:ubyte = 255;
          h:byte = -128; i:ulong = 18446744073709551615; j:long = -9223372036854775808; k:ushort = 0X1f; l:int = -0; }
    """,
    "bool_defaults": 'table T { a:bool = true; b:bool = false; c:bool = 1; d:bool = 0; e:bool = "true"; f:bool = 7; }',
    "float_defaults": """
        table T { a:float = 1; b:float = -1.5; c:double = .5; d:double = 1.; e:float = 1e3; f:double = -2.5E-3;
          g:double = 0x1.8p1; h:float = 0x1p-2; i:float = -.5; j:float = 010; k:double = 1e999; l:float = 1e39;
          m:float = 3.14; n:double = 3.14; o:double = 0x.8p1; }
    """,
    "float_words": """
        table T { a:float = nan; b:float = inf; c:float = -inf; d:float = +inf; e:double = infinity;
          f:double = -infinity; g:double = NaN; h:double = INF; i:float = -nan; j:float = +nan; k:double = "inf"; }
    """,
    "functions": """
        table T { a:float = deg(3.14159265); b:double = rad(180); c:double = sin(1); d:double = cos(rad(60));
          e:double = tan(0.5); f:double = asin(1); g:double = acos(0); h:double = atan(1); i:double = asin(2);
          j:double = sin( "1.5" ); k:double = deg(rad(deg(rad(1)))); }
    """,
    "numbers_in_strings": """
        table T { a:int = "5"; b:int = " 5"; c:int = "5  "; d:uint = "0x1F"; e:float = "1.5"; f:double = " nan";
          g:float = 'INFINITY'; h:double = "0x1p3"; i:int = "-7"; }
    """,
    "string_defaults": """table T { a:string = "hi"; b:string = ""; c:string = '"'; d:string = "\\u00e9\\x41\\n\\/"; }""",
    "string_default_zero": """table T { a:string = "0"; }""",
    "string_default_required": """table T { a:string = "x" (required); }""",
    "string_escapes": r"""table T { a:string = "\b\f\n\r\t\"\'\\\/A\u0041\ud83d\ude00\xc3\xa9"; }""",
    "string_raw_utf8": """table T { a:string = "é漢😀"; }""",
    "vector_default": "table T { a:[int] = []; b:[string] = [ ]; c:[T] = [\n]; }",
    "optional_scalars": """
        enum E : short { A = 1, B }
        table T { a:int = null; b:bool = null; c:double = null; d:E = null; e:ulong = "null"; }
    """,
    "enum_values": "enum E : int { A, B = 5, C, D = -3, F = 0x10, G }",
    "enum_one_line_trailing_comma": "enum E : ubyte { A, B, }",
    "enum_empty": "enum E : int {}",
    "enum_empty_bit_flags": "enum E : uint (bit_flags) {}",
    "enum_full_range": """
        enum A : byte { L = -128, H = 127 } enum B : ubyte { H = 255 } enum C : long { L = -9223372036854775808 }
        enum D : ulong { H = 18446744073709551615, Z = 0 } enum E : ushort { X = 65534, Y }
    """,
    "enum_unsorted": "enum E : int { C = 3, A = 1, B = 2 } table T { e:E = B; }",
    "enum_every_width": """
        enum A:byte{X} enum B:ubyte{X} enum C:short{X} enum D:ushort{X} enum E:int{X} enum F:uint{X} enum G:long{X}
        enum H:ulong{X} table T { a:A; b:B; c:C; d:D; e:E; f:F; g:G; h:H; }
    """,
    "enum_of_enum": "enum A : short { X } enum B : A { Y = 300 } table T { b:B = Y; }",
    "enum_value_attributes": """
        attribute "x"; enum E : int { A (x), B = 4 (x: "y"), C (deprecated) }
    """,
    "enum_defaults": """
        enum E : byte { A = 1, B = 2, C = 4 }
        table T { a:E = A; b:E = 2; c:E = "C"; d:E = "B"; }
    """,
    "enum_default_by_other_enum": """
        enum E : byte { A = 1, B = 2 }
        table T { a:int = "E.B"; b:ubyte = "E.A E.B"; }
    """,
    "bit_flags": """
        enum F : ubyte (bit_flags) { A, B, C = 7 }
        table T { a:F; b:F = A; c:F = "A B"; d:F = 255; e:F = "C A"; f:F = 0x41; }
    """,
    "bit_flags_wide": """
        enum F : ulong (bit_flags) { A, B = 63, C = 31 } enum G : uint (bit_flags) { H = 31 }
        table T { f:F = B; g:G = H; h:F = "A B"; }
    """,
    "bit_flags_signed": "enum F : int (bit_flags) { A, B = 30 } table T { f:F = B; }",
    "enum_named_null_elsewhere": "enum E : int { null, x } table T { a:int = null; b:E = x; }",
    "struct_plain": "struct S { a:byte; b:int; c:short; d:double; e:bool; }",
    "struct_nested": """
        struct A { x:byte; y:short; } struct B { a:A; z:double; b:A; } struct C { p:byte; b:B; q:byte; }
        table T { c:C; v:[C]; r:C (required); }
    """,
    "struct_arrays": """
        enum E : short { A, B } struct I { x:byte; y:int; }
        struct S { a:[int:3]; b:[I:2]; c:[E:4]; d:[bool:1]; e:[byte:65535]; f:[double:0x2]; g:[ubyte:+3]; }
    """,
    "struct_force_align": """
        struct A (force_align: 16) { x:int; } struct B { a:byte; b:A; } struct C (force_align: "32") { x:double; }
        struct D (force_align: 1) { x:byte; }
    """,
    "struct_zero_defaults": "enum E:byte{Z,Y} struct S { a:int = 0; b:bool = false; c:float = 0; d:E = Z; e:uint = 0x0; }",
    "struct_key": "struct S { a:int; k:int (key); } table T { v:[S]; }",
    "struct_array_key": "struct I { x:int; } struct S { k:[int:2] (key); } struct R { k:[I:2] (key); } struct Q { k:I (key); }",
    "struct_ids_do_not_count": "struct S { a:int (id: 7); b:int (id: 3); }",
    "union_plain": """
        table A {} table B { x:int; } union U { A, B } table T { u:U; v:U; }
    """,
    "union_forward": "union U { A, B } table A { u:U; } table B {}",
    "union_values": "table A {} table B {} table C {} union U { A = 5, B, C = 255 } table T { u:U; }",
    "union_unsorted_values": "table A {} table B {} union U { A = 9, B = 3 } table T { u:U; }",
    "union_aliases": """
        table A {} union U { A, Other: A, S: string, Third: A } table T { u:U; }
    """,
    "union_struct": "struct P { x:int; } table A {} union U { A, P, Q: P } table T { u:U; v:[U]; }",
    "union_string_only": "union U { s: string } table T { u:U; }",
    "union_namespaced": """
        namespace a.b; table M {} namespace c; table N {} union U { a.b.M, N, x: a.b.M } table T { u:U; }
    """,
    "union_empty": "union U {} table T { u:U; }",
    "union_underlying": "table A {} table B {} union U : ubyte { A, B = 200 } table T { u:U; v:[U]; }",
    "union_vector": "table A {} union U { A } table T { a:[U]; b:int; c:[U] (required); d:[U] (deprecated); }",
    "union_attributes": 'attribute "x"; table A {} union U (x) { A (x: "1") } table T { u:U (x); }',
    "union_required_and_deprecated": "table A {} union U { A } table T { a:U (required); b:U (deprecated); c:int; }",
    "ids": "table T { b:int (id: 1); a:string (id: 0); c:[int] (id: 2); }",
    "ids_quoted": 'table T { b:int (id: "1"); a:int (id: 0); }',
    "ids_with_union": """
        table A {} union U { A } table T { v:[U] (id: 4); u:U (id: 2); a:int (id: 0); }
    """,
    "ids_flag_is_zero": "table T { a:int (id); b:int (id: 1); }",
    "deprecated": "table T { a:int (deprecated); b:string (deprecated); c:int; }",
    "required": "struct P {x:int;} table T { a:string (required); b:[int] (required); c:T (required); d:P (required); }",
    "key_scalar": "table T { k:ulong (key); } table U { t:[T]; }",
    "key_string": "table T { k:string (key); } table U { k:string (key, required); }",
    "key_enum": "enum E : byte { A } table T { k:E (key); }",
    "hash": """
        table T { a:short (hash: "fnv1_16"); b:ushort (hash: "fnv1a_16"); c:int (hash: "fnv1_32");
          d:uint (hash: "fnv1a_32"); e:long (hash: "fnv1_64"); f:ulong (hash: "fnv1a_64"); g:[ulong] (hash: "fnv1a_64");
          h:ulong (hash: "fnv1a_64", cpp_type: "X"); i:ulong (hash: "fnv1_64", cpp_type: "X", cpp_ptr_type: "y"); }
    """,
    "nested_flatbuffer": """
        table T { a:[ubyte] (nested_flatbuffer: "U"); b:[uint8] (nested_flatbuffer: "n.V"); } table U {}
        namespace n; table V { t:[ubyte] (nested_flatbuffer: "T"); }
    """,
    "flexbuffer": "table T { a:[ubyte] (flexbuffer); }",
    "shared": "table T { a:string (shared); b:string (shared, required); }",
    "wide_offsets": "struct P { x:int; } table T { a:string (offset64); b:[int] (offset64); c:[P] (vector64); d:[ubyte] (vector64); }",
    "force_align_vector": "table T { a:[ubyte] (force_align: 16); }",
    "native_attributes": """
        native_include "x.h";
        struct P (native_type: "V", native_type_pack_name: "p") { x:int; }
        table T (native_custom_alloc: "a", original_order, private, csharp_partial) {
          a:P (native_inline); b:[T] (native_inline); c:[P] (native_inline); d:string (cpp_str_type: "s", cpp_str_flex_ctor);
          e:float (native_default: "NAN"); f:[T] (cpp_ptr_type: "p", cpp_ptr_type_get: "g"); }
    """,
    "user_attributes": """
        attribute "a"; attribute b; attribute 'c d';
        table T (a, b: 5, "c d": "x") { f:int (a: "v", b: 0x10, "c d"); g:int (b: -3); }
    """,
    "attribute_twice": 'attribute "a"; table T { f:int (a: 1, a: 2); g:int (deprecated, deprecated); }',
    "namespaces": """
        table G {} namespace a; table A { g:G; } namespace a.b.c; table C { a:A; g:G; c:C; }
        namespace ; table H { a:a.A; c:a.b.c.C; } namespace a.b; table B { c:c.C; a:A; x:a.b.c.C; }
    """,
    "namespace_shadows": """
        table X { outer:int; } namespace n; table X { inner:int; } table Y { x:X; } namespace n.m; table Z { x:X; y:n.X; }
    """,
    "namespace_forward_takes_first_definition": """
        namespace a; table T { u:U; } namespace b; table U { x:int; }
    """,
    "namespace_forward_qualified": "namespace a; table T { u:b.U; } namespace b; table U { x:int; }",
    "namespace_enum_before_table": """
        enum X : byte { A } namespace n; table X { a:int; } table Y { x:X; }
    """,
    "namespace_reopened": "namespace a; table A {} namespace b; table B { a:a.A; } namespace a; table C { a:A; b:b.B; }",
    "root_and_file": """
        table T {} root_type T; file_identifier "TEST"; file_extension "tst";
    """,
    "root_qualified": "namespace a.b; table T {} namespace c; table U {} root_type a.b.T;",
    "root_in_namespace": "namespace a; table T {} root_type T;",
    "root_last_counts": "table A {} table B {} root_type A; root_type B;",
    "identifier_bytes": 'file_identifier "\\u00e9ab"; table T {}',
    "service": """
        table A {} table B {} rpc_service S { f(A):B; g(B):A; }
    """,
    "service_forward": "namespace n; rpc_service S { f(A):m.B; } table A {} namespace m; table B {}",
    "service_attributes": """
        attribute "hl_host"; attribute "hl_stateful"; table A {}
        rpc_service S (hl_host) { f(A):A (idempotent, hl_stateful); g(A):A (streaming: "none"); }
    """,
    "service_named_as_table": "table S {} rpc_service S { S(S):S; }",
    "comments": """
        // line
        /* block
           /* not nested */
        table T { // after
          a:int; /* in */ b /* the */ : /* middle */ int; //
        }
        //
    """,
    "documentation": """
/// The table.
///  Two spaces.
///
table T {
  /// A field.
  /// More.
  a:int;
  //// four
  b:int;
}
/// An enum.
enum E : int {
  /// A value.
  A,
  B }
/// A union.
union U {
  /// A variant.
  T }
/// A service.
rpc_service S {
  /// A method.
  f(T):T; }
""",
    "documentation_lost_at_brace": """
/// T
table T
{
  a:int;
/// nobody's
}
""",
    "carriage_returns": "/// doc\r\ntable T {\r\n  a:int; // x\r\n}\r\n",
    "names_like_keywords": """
        table table { struct:int; enum:int; union:int; namespace:int; include:int; root_type:int; string:int; int:int; }
        table struct { table_:table; } enum enum : byte { table, enum } union union { table, struct }
        table rpc_service { union:union; } table attribute { x:attribute; }
    """,
    "names_like_types": "table bool {} table T { string:string; float:float; }",
    "names_in_any_case": "table lower { CamelCase:int; SHOUT:int; _under:int; a1:int; __x:int; }",
    "forward_references": "table A { b:B; c:[C]; } table B { c:C; } struct C { x:int; } table D { c:C; }",
    "mutual_recursion": "union U { A, B } table A { b:B; a:A; } table B { a:[A]; u:U; }",
    "field_named_like_table_before_it": "table A { thing:thing; } table thing { x:int; }",
    "no_clash": """
        table A {} union U { A } table T { a_type:int; a:int; b_length:int; b:int; c_byte_vector:int; c:[int]; d:[U]; dType:int; }
    """,
    "white_space": "table\tT\n{\na\n:\nint\n=\n5\n(\ndeprecated\n)\n;\n}",
    "no_white_space": 'table A{a:int=5(deprecated);b:string="x"(shared);c:[int](required);}struct S{a:[int:2];}root_type A;',
    "enum_default_then_attribute": "enum E : int { A, B } table T { e:E = B (deprecated); f:float = nan (deprecated); }",
    "function_then_attribute": "table T { a:float = deg(1)(deprecated); }",
    "single_quotes": "file_identifier 'ABCD'; table T { a:string = 'it\\'s'; }",
    "many_fields": "table T { " + " ".join(f"f{i}:int = {i};" for i in range(300)) + " }",
    "many_enum_values": "enum E : ushort { " + ", ".join(f"V{i}" for i in range(1000)) + " }",
    "many_variants": "table T {} union U { " + ", ".join(f"V{i}: T" for i in range(255)) + " }",
    "deep_types": " ".join(f"table T{i} {{ x:T{i + 1}; }}" for i in range(100)) + " table T100 {}",
    "nested_functions": "table T { a:double = " + "rad(" * 60 + "1" + ")" * 60 + "; }",
    "long_name": "table " + "a" * 300 + " { x:int; }",
    "last_line_comment": "table T {} // no end of line",
    "service_names_give_direction": """
        table A {} rpc_service FilterGuest { f(A):A; } rpc_service FilterHost { g(A):A; }
    """,
    "struct_in_table_forward": "table T { s:S; } struct S { a:byte; b:double; }",
    "default_of_enum_without_zero_in_vector": "enum E : byte { A = 1 } table T { e:[E]; }",
    "bit_flags_without_zero": "enum E : ubyte (bit_flags) { A = 1 } table T { e:E; } struct S { e:E; f:[E:2]; }",
}

INCLUDES: dict[str, dict[str, str]] = {
    "one_include": {"main.fbs": 'include "a.fbs"; table T { a:A; }', "a.fbs": "table A { x:int; }"},
    "folders": {
        "main.fbs": 'include "sub/a.fbs"; table T { a:A; b:B; }',
        "sub/a.fbs": 'include "b.fbs"; table A { b:B; }',
        "sub/b.fbs": "table B {}",
    },
    "parent_folder": {
        "main.fbs": 'include "sub/a.fbs"; table T { b:B; }',
        "sub/a.fbs": 'include "../b.fbs"; table A { b:B; }',
        "b.fbs": "table B {}",
    },
    "beside_the_main_file": {
        "main.fbs": 'include "sub/a.fbs"; table T {}',
        "sub/a.fbs": 'include "c.fbs"; table A { c:C; }',
        "c.fbs": "table C {}",
    },
    "diamond": {
        "main.fbs": 'include "a.fbs"; include "b.fbs"; table T { c:C; }',
        "a.fbs": 'include "c.fbs"; table A { c:C; }',
        "b.fbs": 'include "c.fbs"; table B { c:C; }',
        "c.fbs": "table C {}",
    },
    "cycle": {
        "main.fbs": 'include "a.fbs"; table T { a:A; }',
        "a.fbs": 'include "main.fbs"; table A { t:T; }',
    },
    "self": {"main.fbs": 'include "main.fbs"; table T {}'},
    "same_file_twice": {"main.fbs": 'include "a.fbs"; include "./a.fbs"; table T {}', "a.fbs": "table A {}"},
    "same_content_elsewhere": {
        "main.fbs": 'include "x/a.fbs"; include "y/a.fbs"; table T { a:A; }',
        "x/a.fbs": "table A {}",
        "y/a.fbs": "table A {}",
    },
    "attributes_of_included_files": {
        "main.fbs": 'include "a.fbs"; table T { x:int (mine); }',
        "a.fbs": 'attribute "mine";',
    },
    "root_of_included_file_is_not_ours": {
        "main.fbs": 'include "a.fbs"; table T {}',
        "a.fbs": 'table A {} root_type A; file_identifier "AAAA"; file_extension "aaa";',
    },
    "root_from_included_file": {
        "main.fbs": 'include "a.fbs"; root_type n.A;',
        "a.fbs": "namespace n; table A {}",
    },
    "namespace_ends_with_its_file": {
        "main.fbs": 'include "a.fbs"; table T { a:n.A; }',
        "a.fbs": "namespace n; table A {}",
    },
    "back_slashes": {"main.fbs": 'include "sub\\\\a.fbs"; table T { a:A; }', "sub/a.fbs": "table A {}"},
    "defined_by_the_includer": {
        "main.fbs": 'include "a.fbs"; table T {}',
        "a.fbs": "table A { t:T; }",
    },
    "byte_order_mark": {"main.fbs": '\ufefftable T { a:string = "x"; }'},
}
