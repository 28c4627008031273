"""Methods: exports that decode, call the guest's function and encode; stubs that call host functions."""

from __future__ import annotations

from collections.abc import Iterator

from hlfuzz.generate.c.model import CMethod, Model
from hlfuzz.generate.c.text import assembled, comment, literal
from hlfuzz.schema.ir import Direction


def declarations(model: Model) -> Iterator[str]:
    """The prototypes of both sides."""
    for direction, text in (
        (
            Direction.GUEST,
            "For the guest to implement. `response` is an empty one with its defaults; fill it and return\n"
            "HL_OK, or return an error code, with a text by hl_fail if there is more to say.",
        ),
        (
            Direction.HOST,
            "Functions of the host. *response lasts as long as the call; where an error code is returned it\n"
            "is NULL, and hl_error(call) has the text. `response` may be NULL when nobody wants it.",
        ),
    ):
        chosen = [m for m in model.methods if m.source.direction is direction]
        if not chosen:
            continue
        yield from comment(text)
        for method in chosen:
            yield from comment(method.source.doc)
            yield f"{method.signature()};"
        yield ""


def definitions(model: Model) -> Iterator[str]:
    """The code behind the prototypes."""
    for number, method in enumerate(model.methods, 1):
        yield from _export(method) if method.is_guest else _import(method, number)


def _export(m: CMethod) -> Iterator[str]:
    arguments = "const uint8_t *data, uint32_t len"
    exported = literal(m.source.symbol.encode())
    yield f'HL_EXPORT("{exported}") hl_result {m.wire}({arguments}) HL_NATIVE_NAME("{exported}_export");'
    yield f"hl_result {m.wire}({arguments}) {{"
    yield "    hl_call call;"
    yield f"    const {m.request.name} *request = hl_enter(&call, {m.request.index}, data, len);"
    yield f"    {m.response.name} *response = request ? hl_prepare(&call, {m.response.index}) : NULL;"
    yield f"    if (response) call.status = {m.function}(&call, request, response);"
    yield f"    return hl_leave(&call, {m.response.index}, response);"
    yield "}"
    yield f'HL_LIST_EXPORT({m.wire}, "{exported}", "pi:r")'
    yield ""


def _import(m: CMethod, number: int) -> Iterator[str]:
    module, _, name = m.source.symbol.rpartition(".")
    names = f'"{literal(module.encode())}", "{literal(name.encode())}"'
    yield "#if defined(__wasm__)"
    yield f"HL_IMPORT({names}) extern hl_result {m.wire}(const uint8_t *data, uint32_t len);"
    yield "#else"
    listed = ", ".join(f'"{assembled(part.encode())}"' for part in (module, name))
    yield f'HL_LIST_IMPORT({number}, hl_import_{m.wire}, {listed}, "pi:r")'
    yield f"static hl_result {m.wire}(const uint8_t *data, uint32_t len) {{"
    yield "    uint64_t values[2] = {(uintptr_t)data, len};"
    yield f"    hl_host_call(&hl_import_{m.wire}, values, 2);"
    yield "    return hl_returned((const void *)(uintptr_t)values[0], (uint32_t)values[1]);"
    yield "}"
    yield "#endif"
    yield f"{m.signature()} {{"
    yield "    const void *answer = NULL;"
    yield "    hl_bytes sent;"
    yield f"    hl_status status = hl_ask(call, {m.request.index}, request, &sent);"
    yield "    if (status == HL_OK)"
    yield f"        status = hl_answer(call, {m.response.index}, {m.wire}(sent.data, sent.len), &answer);"
    yield "    if (response) *response = answer;"
    yield "    return status;"
    yield "}"
    yield ""
