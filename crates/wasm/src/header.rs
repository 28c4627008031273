//! What the first bytes of a file say it is, and whether the file ends where its sections end.

use wasmparser::{Chunk, Parser, Payload};

use crate::error::Error;

const WASM_MAGIC: &[u8] = b"\0asm";
const CORE_VERSION: [u8; 4] = [1, 0, 0, 0];
/// The upper half of the version field is the layer: 0 for core modules, 1 for components.
/// <https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md>
const COMPONENT_LAYER: [u8; 2] = [1, 0];

/// Magic numbers of the files that people pass by mistake.
const KNOWN: &[(&[u8], &str)] = &[
    (b"\x7fELF", "an ELF file (a native program or library, or a precompiled artifact)"),
    (b"\x1f\x8b", "gzip data; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "zstd data; unpack it first"),
    (b"\xfd7zXZ\0", "xz data; unpack it first"),
    (b"BZh", "bzip2 data; unpack it first"),
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"BC\xc0\xde", "LLVM bitcode; link it to Wasm first"),
    (b"!<arch>\n", "a static library; link it to Wasm first"),
    (b"MZ", "a Windows program"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O file"),
    (b"\xca\xfe\xba\xbe", "a Mach-O or Java class file"),
    (b"#!", "a script"),
];

/// Checks that `bytes` start like a core Wasm module.
///
/// # Errors
/// [`Error::NotWasm`], [`Error::Component`], [`Error::Truncated`] or [`Error::Invalid`] (a version that we do not know).
pub fn check_header(bytes: &[u8]) -> Result<(), Error> {
    let Some(rest) = bytes.strip_prefix(WASM_MAGIC) else {
        if !bytes.is_empty() && WASM_MAGIC.starts_with(bytes) {
            return Err(Error::Truncated { offset: 0, bytes: bytes.len() as u64 });
        }
        return Err(Error::NotWasm { looks_like: describe(bytes) });
    };
    match rest.first_chunk::<4>() {
        None => Err(Error::Truncated { offset: 4, bytes: bytes.len() as u64 }),
        Some(&CORE_VERSION) => Ok(()),
        Some(version) if version[2..] == COMPONENT_LAYER => Err(Error::Component),
        Some(version) => Err(Error::Invalid {
            offset: 4,
            message: format!("unknown binary version {}, expected 1", u32::from_le_bytes(*version)),
        }),
    }
}

/// Checks that every section of a module lies within `bytes`; what is malformed otherwise is left to the validator.
///
/// # Errors
/// [`Error::Truncated`] with the offset of the part that is cut off.
pub fn check_complete(bytes: &[u8]) -> Result<(), Error> {
    let mut parser = Parser::new(0);
    let mut offset = 0;
    while offset < bytes.len() {
        // Not the end of the file, says `false`: the parser then asks for more where the file stops too early.
        match parser.parse(&bytes[offset..], false) {
            Ok(Chunk::NeedMoreData(_)) => {
                return Err(Error::Truncated { offset: offset as u64, bytes: bytes.len() as u64 });
            }
            Ok(Chunk::Parsed { consumed, payload: Payload::CodeSectionStart { size, .. } }) => {
                // Function bodies need no look: the section that holds them does.
                let body_bytes = size as usize;
                if bytes.len() - offset - consumed < body_bytes {
                    return Err(Error::Truncated { offset: offset as u64, bytes: bytes.len() as u64 });
                }
                parser.skip_section();
                offset += consumed + body_bytes;
            }
            Ok(Chunk::Parsed { consumed: 0, .. }) | Err(_) => break,
            Ok(Chunk::Parsed { consumed, .. }) => offset += consumed,
        }
    }
    Ok(())
}

fn describe(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "an empty file".into();
    }
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*what).into();
    }
    if bytes.iter().all(|&byte| byte == 0) {
        return "nothing but zero bytes".into();
    }
    let head = &bytes[..bytes.len().min(512)];
    if let Some(text) = leading_text(head) {
        let start = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
        return if start.starts_with("(module") || start.starts_with("(component") || start.starts_with(";;") {
            "Wasm text (WAT); assemble it first, for example with `wat2wasm`".into()
        } else if start.starts_with('<') {
            "HTML or XML text; was an error page downloaded in its place?".into()
        } else {
            format!("text that starts with {:?}", start.chars().take(24).collect::<String>())
        };
    }
    let first: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("binary data that starts with {}", first.join(" "))
}

/// The valid UTF-8 at the start of `head` when all of it is text; a character cut off at the end is allowed.
fn leading_text(head: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let printable = |c: char| !c.is_control() || matches!(c, '\t' | '\r' | '\n');
    (!text.is_empty() && text.chars().all(printable)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks_like(bytes: &[u8]) -> String {
        match check_header(bytes) {
            Err(Error::NotWasm { looks_like }) => looks_like,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn foreign_files_are_named() {
        assert!(looks_like(b"").contains("empty"));
        assert!(looks_like(b"\x7fELF\x02\x01").contains("ELF"));
        assert!(looks_like(b"\x1f\x8b\x08\0").contains("gzip"));
        assert!(looks_like(b"  (module (func))").contains("WAT"));
        assert!(looks_like("\u{feff}(module)".as_bytes()).contains("WAT"));
        assert!(looks_like(b"<!DOCTYPE html>").contains("HTML"));
        assert!(looks_like(b"hello \"there\"").contains("hello"));
        assert!(looks_like(b"\xff\xfe\x00\x01").contains("ff fe 00 01"));
        assert!(looks_like(&[0; 100]).contains("zero"));
        let cut_character = [&[b'a'; 511][..], "é".as_bytes()].concat();
        assert!(looks_like(&cut_character).contains("text"));
    }

    #[test]
    fn a_section_that_is_cut_off_is_found() {
        let whole = wat::parse_str(
            "(module (memory 1) (func (export \"f\") nop nop nop) (data (i32.const 0) \"abc\"))",
        )
        .expect("test module");
        assert_eq!(check_complete(&whole), Ok(()));
        for length in 9..whole.len() {
            match check_complete(&whole[..length]) {
                Err(Error::Truncated { offset, bytes }) => assert!(offset < bytes && bytes == length as u64),
                // A cut between two sections leaves a shorter module, which the validator judges.
                Ok(()) => assert!(whole[length] < 14, "cut at {length}"),
                Err(other) => panic!("{other:?}"),
            }
        }
        let mut huge_section = whole[..8].to_vec();
        huge_section.extend([1, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert!(matches!(check_complete(&huge_section), Err(Error::Truncated { offset: 8, .. })));
    }

    #[test]
    fn the_version_field_tells_components_and_unknown_versions() {
        assert_eq!(check_header(b"\0asm\x0d\0\x01\0"), Err(Error::Component));
        assert!(matches!(check_header(b"\0asm\x02\0\0\0"), Err(Error::Invalid { offset: 4, .. })));
        assert_eq!(check_header(b"\0as"), Err(Error::Truncated { offset: 0, bytes: 3 }));
        assert_eq!(check_header(b"\0asm\x01"), Err(Error::Truncated { offset: 4, bytes: 5 }));
        assert_eq!(check_header(b"\0asm\x01\0\0\0"), Ok(()));
    }
}
