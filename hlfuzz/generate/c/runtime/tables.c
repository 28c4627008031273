/* ---- What the tables say ------------------------------------------------------------------------------- */

enum {
    HL_KIND_BOOL, HL_KIND_I8, HL_KIND_U8, HL_KIND_I16, HL_KIND_U16, HL_KIND_I32, HL_KIND_U32, HL_KIND_I64,
    HL_KIND_U64, HL_KIND_F32, HL_KIND_F64, HL_KIND_STRING, HL_KIND_BYTES, HL_KIND_STRUCT, HL_KIND_RECORD,
    HL_KIND_UNION, HL_KIND_TAG /* FlatBuffers: the byte in front of a union */
};
enum { HL_SINGLE, HL_VECTOR, HL_ARRAY };
enum { HL_IMPLICIT, HL_OPTIONAL, HL_REQUIRED, HL_ALWAYS /* entries of maps */ };
enum { HL_PLAIN, HL_VARINT, HL_ZIGZAG, HL_FIXED };
enum { HL_CHECKED = 1, HL_PACKED = 2, HL_DELIMITED = 4, HL_NESTED = 8, HL_ENUM = 16 };

typedef struct hl_field_info {
    uint64_t preset; /* bits of the default; of text its place in hl_texts << 32 | length */
    uint32_t name;   /* place in hl_texts */
    uint32_t id;
    uint32_t at;     /* in the C struct */
    uint32_t has;    /* of has_… in the C struct, or HL_NONE; of a required Protobuf number its bit in hl_seen */
    uint32_t ref;    /* index of a record, union or closed enum, or HL_NONE */
    uint32_t wire;   /* struct fields: offset on the wire */
    uint32_t count;  /* elements of an array */
    uint8_t kind, shape, presence, coding, flags;
} hl_field_info;

typedef struct hl_record_info {
    uint32_t name, first, count; /* fields */
    uint32_t size;               /* of the C struct */
    uint32_t wire_size, align;   /* of structs; of elements in a vector */
    uint32_t slots;              /* of the vtable */
    uint32_t first_number, numbers;
    uint32_t seen;               /* place of hl_seen in the C struct, or HL_NONE */
    uint8_t plain;               /* the C struct is what is on the wire, and every bit pattern is valid */
    uint8_t presets;             /* some default is not zero */
    uint8_t demands;             /* some field in it, or further down, is required */
} hl_record_info;

typedef struct hl_union_info { uint32_t name, first, count, size, at; } hl_union_info;
typedef struct hl_variant_info { uint32_t tag, ref, name; uint8_t kind, coding, flags; } hl_variant_info;
/* A closed enum: a mask of flags, a range, or a sorted list. */
typedef struct hl_enum_info { uint64_t low, span, mask; uint32_t first, count; } hl_enum_info;
/* A Protobuf field number: which field, and which variant + 1 of it when that is a oneof. */
typedef struct hl_number_info { uint32_t number, field, variant; } hl_number_info;
