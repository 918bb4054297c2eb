"""The languages of source files, as tree-sitter calls them."""

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

_SUFFIXES = {
    "bash": ".sh .bash .zsh .ksh",
    "c": ".c .h",
    "clojure": ".clj .cljs .cljc .edn",
    "cmake": ".cmake",
    "commonlisp": ".lisp .cl",
    "cpp": ".cc .cpp .cxx .hh .hpp .hxx .inl .ipp",
    "csharp": ".cs",
    "css": ".css",
    "cuda": ".cu .cuh",
    "d": ".d",
    "dart": ".dart",
    "dockerfile": ".dockerfile",
    "elisp": ".el",
    "elixir": ".ex .exs",
    "elm": ".elm",
    "erlang": ".erl .hrl",
    "fish": ".fish",
    "fortran": ".f .f90 .f95 .f03 .for",
    "fsharp": ".fs .fsx",
    "gleam": ".gleam",
    "glsl": ".glsl .vert .frag",
    "go": ".go",
    "graphql": ".graphql .gql",
    "groovy": ".groovy .gradle",
    "haskell": ".hs",
    "hcl": ".hcl .tf .tfvars",
    "java": ".java",
    "javascript": ".js .jsx .mjs .cjs",
    "julia": ".jl",
    "kotlin": ".kt .kts",
    "lua": ".lua",
    "make": ".mk",
    "matlab": ".m",
    "nim": ".nim",
    "nix": ".nix",
    "objc": ".mm",
    "ocaml": ".ml",
    "ocaml_interface": ".mli",
    "pascal": ".pas",
    "perl": ".pl .pm",
    "php": ".php",
    "powershell": ".ps1 .psm1",
    "prisma": ".prisma",
    "proto": ".proto",
    "purescript": ".purs",
    "python": ".py .pyi .pyw",
    "r": ".r",
    "racket": ".rkt",
    "ruby": ".rb .rake .gemspec",
    "rust": ".rs",
    "scala": ".scala .sc",
    "scheme": ".scm .ss",
    "scss": ".scss",
    "solidity": ".sol",
    "sql": ".sql",
    "starlark": ".bzl .star",
    "svelte": ".svelte",
    "swift": ".swift",
    "tcl": ".tcl",
    "thrift": ".thrift",
    "toml": ".toml",
    "tsx": ".tsx",
    "typescript": ".ts .mts .cts",
    "typst": ".typ",
    "verilog": ".v .sv .svh",
    "vhdl": ".vhd .vhdl",
    "vim": ".vim",
    "vue": ".vue",
    "wgsl": ".wgsl",
    "xml": ".xml .xsd .xsl .xslt .plist .svg",
    "yaml": ".yaml .yml",
    "zig": ".zig",
}
LANGUAGES: Mapping[str, str] = MappingProxyType(
    {suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
)
"""By suffix."""
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "cmakelists.txt": "cmake",
        "containerfile": "dockerfile",
        "dockerfile": "dockerfile",
        "gnumakefile": "make",
        "makefile": "make",
        "gemfile": "ruby",
        "rakefile": "ruby",
        "build.bazel": "starlark",
    }
)
"""By the whole name."""


def language_of(name: str) -> str:
    """The language that a file is written in, by its name; empty for other files."""
    path = PurePath(name.lower())
    return NAMES.get(path.name) or LANGUAGES.get(path.suffix, "")
