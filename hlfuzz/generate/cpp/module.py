"""Writes the header: enums, views and editors of records and unions, dispatch, host functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import resources

from hlfuzz.generate.c.build import make_model
from hlfuzz.generate.c.model import CEnum, CMethod, CRecord, CUnion, Model
from hlfuzz.generate.c.names import MemberScope
from hlfuzz.generate.c.text import comment
from hlfuzz.generate.cpp.model import Accessor, Viewer
from hlfuzz.generate.cpp.names import Names, Place
from hlfuzz.generate.naming import stem
from hlfuzz.schema.ir import Direction, Format, Schema, Service


def generate(schema: Schema) -> dict[str, str]:
    """`<stem>_hl.hpp`, over the files of the C generator: typed views, editors and dispatch, C++17, without
    the standard library.

    A raw interface has functions of numbers and pointers, which are the same in C++: its header includes C's.
    Raises `SchemaError` for what C or the wire cannot carry.
    """
    name = stem(schema)
    guard = f"HL_SCHEMA_{name.upper()}_HPP"
    lines = [f"#ifndef {guard}", f"#define {guard}", f'#include "{name}_hl.h"', ""]
    if schema.format is not Format.RAW:
        model = make_model(schema)
        runtime = resources.files("hlfuzz.generate.cpp").joinpath("runtime", "hl.hpp").read_text("utf-8")
        lines += [runtime, *_Writer(model).lines()]
    return {f"{name}_hl.hpp": "\n".join([*lines, "#endif"]) + "\n"}


class _Writer:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._names = Names(model)
        self._viewer = Viewer(model, self._names)
        self._places = self._names.places
        self._later: list[str] = []

    def lines(self) -> Iterator[str]:
        model = self._model
        for enum in model.enums.values():
            yield from _inside(self._places[enum.source.name], self._enum(enum))
        for definition in (*model.records.values(), *model.unions.values()):
            place, edit = self._both(definition.source.name)
            yield from _inside(place, [f"class {place.name};", f"class {edit.name};"])
        yield ""
        for record in model.records.values():
            yield from self._class(record, self._viewer.record(record), [])
        for union in model.unions.values():
            yield from self._class(union, self._viewer.union(union), self._tag(union))
        yield from self._later
        yield ""
        for service in model.schema.services:
            methods = [m for m in model.methods if m.source in service.methods]
            if service.direction is Direction.HOST:
                yield from _inside(self._places[service.name], self._host(service, methods))
            elif methods:
                yield from self._guest(service, methods)

    def _both(self, name: str) -> tuple[Place, Place]:
        return self._places[name], self._places[f"{name} Edit"]

    def _enum(self, enum: CEnum) -> Iterator[str]:
        name = self._places[enum.source.name].name
        yield from comment(enum.source.doc)
        yield f"enum class {name} : ::{enum.name} {{"
        scope = MemberScope(self._model.scope)
        for member, constant in zip(enum.source.members, enum.constants, strict=True):
            yield from comment(member.doc, "    ")
            yield f"    {scope.claim(member.name)} = {constant},"
        yield "};"
        if enum.source.bit_flags:
            for operator in "|&^":
                yield (
                    f"constexpr {name} operator{operator}({name} a, {name} b) {{ return static_cast<{name}>("
                    f"static_cast<::{enum.name}>(a) {operator} static_cast<::{enum.name}>(b)); }}"
                )
        yield ""

    def _tag(self, union: CUnion) -> list[str]:
        members = ", ".join(f"{name} = {constant}" for name, constant in self._viewer.tags(union))
        return [
            f"    enum class Tag : uint32_t {{ {members} }};",
            "    Tag tag() const { return raw_ ? static_cast<Tag>(raw_->tag) : Tag::NONE; }",
        ]

    def _class(self, source: CRecord | CUnion, accessors: list[Accessor], extra: list[str]) -> Iterator[str]:
        """A view and an editor. What they do comes after the classes: the types may need each other."""
        place, edit = self._both(source.source.name)
        is_union = isinstance(source, CUnion)
        raw = f"::{source.name}"
        view: list[str] = [*comment(source.source.doc), f"class {place.name} {{", "public:"]
        view += [
            f"    using Raw = {raw};",
            f"    constexpr {place.name}() : raw_(nullptr) {{}}",
            f"    constexpr {place.name}(const Raw *raw) : raw_(raw) {{}}",
            "    constexpr explicit operator bool() const { return raw_ != nullptr; }",
            "    constexpr const Raw *raw() const { return raw_; }",
            *extra,
        ]
        for a in accessors:
            view += [*comment(a.doc, "    "), f"    {a.type} {a.name}() const;"]
        view += ["", "protected:", "    const Raw *raw_;", "};", ""]
        view += [f"class {edit.name} : public {place.name} {{", "public:"]
        view += [
            f"    using View = {place.full};",
            f"    constexpr {edit.name}(Raw *raw) : {place.name}(raw), edit_(raw) {{}}",
            "    constexpr Raw *raw() const { return edit_; }",
            f"    static void init(Raw *raw) {{ {_init(source)} }}",
        ]
        if is_union:
            view.append("    void clear() const { init(edit_); }")
        for a in accessors:
            if a.editor:
                view.append(f"    {a.editor} {a.name}() const;")
            else:
                view += [
                    f"    using {place.name}::{a.name};",
                    f"    const {edit.name} &{a.name}({a.takes} value) const;",
                ]
        view += ["", "private:", "    Raw *edit_;", "};", ""]
        yield from _inside(place, view)
        self._later += list(self._bodies(place, edit, accessors))

    def _bodies(self, place: Place, edit: Place, accessors: list[Accessor]) -> Iterator[str]:
        for a in accessors:
            yield f"inline {a.type} {place.full[2:]}::{a.name}() const {{ return {a.read}; }}"
            if a.editor:
                yield f"inline {a.editor} {edit.full[2:]}::{a.name}() const {{ {a.write} }}"
            else:
                yield (
                    f"inline const {edit.full} &{edit.full[2:]}::{a.name}({a.takes} value) const "
                    f"{{ {a.write} return *this; }}"
                )

    def _host(self, service: Service, methods: list[CMethod]) -> Iterator[str]:
        yield from comment(service.doc)
        yield f"struct {self._places[service.name].name} {{"
        scope = MemberScope(self._model.scope)
        scope.claim(self._places[service.name].name)
        for m in methods:
            request, response = (self._places[r.source.name].full for r in (m.request, m.response))
            yield from comment(m.source.doc, "    ")
            answer = f"::hl::Answer<{response}>"
            yield f"    static {answer} {scope.claim(m.source.name)}(::hl::Call call, {request} request) {{"
            yield f"        const ::{m.response.name} *response = nullptr;"
            yield f"        hl_status status = ::{m.function}(call.raw(), request.raw(), &response);"
            yield f"        return {answer}{{status, {response}(response)}};"
            yield "    }"
        yield "};"
        yield ""

    def _guest(self, service: Service, methods: list[CMethod]) -> Iterator[str]:
        """A macro, because the C functions are in no namespace."""
        macro = f"HL_IMPLEMENT_{'_'.join(service.name.split('.'))}"
        scope = MemberScope(self._model.scope)
        names = [scope.claim(m.source.name) for m in methods]
        signatures = [
            f"static hl_status {name}(hl::Call call, {self._places[m.request.source.name].full} request, "
            f"{self._places[f'{m.response.source.name} Edit'].full} response);"
            for m, name in zip(methods, names, strict=True)
        ]
        yield from comment(
            "\n".join([f"{macro}(Class) makes the guest of a class with these functions:", *signatures])
        )
        yield f"#define {macro}(Class) \\"
        for m, name in zip(methods, names, strict=True):
            end = "" if m is methods[-1] else " \\"
            yield f'    extern "C" {m.signature()} {{ \\'
            yield f"        return Class::{name}(call, request, response); \\"
            yield f"    }}{end}"
        yield ""


def _init(source: CRecord | CUnion) -> str:
    if isinstance(source, CRecord) and source.functions[0]:
        return f"::{source.functions[0]}(raw);"
    return "*raw = Raw{};"


def _inside(place: Place, lines: Iterable[str]) -> Iterator[str]:
    yield " ".join(f"namespace {part} {{" for part in place.namespace)
    yield from lines
    yield " ".join("}" for _ in place.namespace)
