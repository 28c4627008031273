"""Methods in generated Rust: a trait for the guest to implement, functions of the host, exports."""

from __future__ import annotations

from hlfuzz.generate.rust.names import method_names
from hlfuzz.generate.rust.text import comment, identifier, string
from hlfuzz.generate.rust.types import Types
from hlfuzz.schema.ir import Direction, Method, Service
from hlfuzz.schema.names import snake_case


def services(types: Types) -> list[str]:
    """All services, in schema order."""
    lines: list[str] = []
    taken: set[str] = set()
    for service in types.schema.services:
        if service.direction is Direction.HOST:
            lines += _host(types, service)
        else:
            macro = f"export_{snake_case(types.names.service(service.name))}"
            while macro in taken:
                macro += "_"
            taken.add(macro)
            lines += _guest(types, service, macro)
    return lines


def _message(types: Types, name: str | None) -> str:
    assert name is not None
    return types.names.type(name)


def _guest(types: Types, service: Service, macro: str) -> list[str]:
    trait, names = types.names.service(service.name), method_names(service)
    lines = [*comment(service.doc), f"pub trait {trait} {{"]
    for m in service.methods:
        request, response = _message(types, m.request), _message(types, m.response)
        lines += comment(m.doc, "    ")
        lines.append(
            f"    fn {names[m.name]}(&mut self, request: {request}) -> Result<{response}, wire::Error>;"
        )
    lines += [
        "}",
        "",
        f"/// Exports an implementation of [`{trait}`] from a Wasm guest:",
        f"/// `{macro}!(path::of::this_module, Type)`, or with a third argument, an expression for",
        "/// the value, which is made at the first call.",
        f"macro_rules! {macro} {{",
        "    ($($module:ident)::+, $type:ty) => {",
        f"        $($module)::+::{macro}!($($module)::+, $type, <$type as Default>::default());",
        "    };",
        "    ($($module:ident)::+, $type:ty, $make:expr) => {",
        '        #[cfg(target_arch = "wasm32")]',
        "        const _: () = {",
        "            use $($module)::+ as interface;",
        "            static GUEST: interface::wire::Guest<$type> = interface::wire::Guest::new();",
    ]
    for index, m in enumerate(service.methods):
        lines += _export(m, index, trait, names[m.name])
    lines += ["        };", "    };", "}", f"pub(crate) use {macro};", ""]
    return lines


def _export(method: Method, index: int, trait: str, name: str) -> list[str]:
    return [
        "            // SAFETY: linking fails if anything else has this name.",
        f"            #[unsafe(export_name = {string(method.symbol)})]",
        f'            pub extern "C" fn export_{index}(at: u32, len: u32) -> u64 {{',
        "                interface::wire::serve(at, len, |request| {",
        f"                    GUEST.with(|| $make, |guest| interface::{trait}::{name}(guest, request))",
        "                })",
        "            }",
    ]


def _host(types: Types, service: Service) -> list[str]:
    name, names = types.names.service(service.name), method_names(service)
    lines = [*comment(service.doc), f"pub struct {name};", ""]
    imports = f"imports_{identifier(snake_case(name)).removeprefix('r#')}"
    lines += ['#[cfg(target_arch = "wasm32")]', f"mod {imports} {{"]
    by_module: dict[str, list[tuple[int, str]]] = {}
    for index, m in enumerate(service.methods):
        module, _, function = m.symbol.rpartition(".")
        by_module.setdefault(module, []).append((index, function))
    for module, functions in by_module.items():
        lines += [f"    #[link(wasm_import_module = {string(module)})]", '    unsafe extern "C" {']
        for index, function in functions:
            lines.append(f"        #[link_name = {string(function)}]")
            lines.append(f"        pub fn import_{index}(at: u32, len: u32) -> u64;")
        lines.append("    }")
    lines += ["}", "", f"impl {name} {{"]
    for index, m in enumerate(service.methods):
        request, response = _message(types, m.request), _message(types, m.response)
        lines += [
            *comment(m.doc, "    "),
            f"    pub fn {names[m.name]}(request: &{request}) -> Result<{response}, wire::Error> {{",
            '        #[cfg(target_arch = "wasm32")]',
            f"        return wire::ask(request, {imports}::import_{index});",
            '        #[cfg(not(target_arch = "wasm32"))]',
            f"        return wire::no_host({string(m.symbol)});",
            "    }",
        ]
    return [*lines, "}", ""]
