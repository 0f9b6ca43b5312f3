"""Bad schema files: each is refused with every one of its problems, located, and nothing else."""

from __future__ import annotations

import copy
import time
from textwrap import dedent
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byron.schema.problems import CODES, MOST_PROBLEMS, InvalidSchemaError
from byron.schema.reader import parse_component, read_component


def _bad(name: str, source: str | bytes, *located: str) -> Any:
    """A case of the table: a schema, and all of its problems as they are printed, after the file's name."""
    if isinstance(source, str) and source.startswith("\n"):
        source = dedent(source.removeprefix("\n"))
    return pytest.param(source, list(located), id=name)


TOO_MANY_ATTRIBUTES = """\
name: A
namespace: B
content:
  types:
    - name: T
      attributes:
""" + "".join(f"        - {{name: a{i}, type: Int}}\n" for i in range(1001))

TEXT = [
    _bad(
        "an empty file",
        "",
        "1:1: B002 the file is empty; a schema begins with name:",
    ),
    _bad(
        "comments alone",
        """
        # nothing

        # here
        """,
        "1:1: B002 the file is empty; a schema begins with name:",
    ),
    _bad(
        "a byte order mark",
        b"\xef\xbb\xbfname: A\n",
        "1:1: B004 the file begins with a byte order mark; save it as UTF-8 without one",
    ),
    _bad(
        "UTF-16",
        "name: A".encode("utf-16"),
        "1:1: B004 the file begins with a byte order mark; save it as UTF-8 without one",
    ),
    _bad(
        "Latin-1",
        "name: Zürich\n".encode("latin-1"),
        "1:8: B004 the file is not UTF-8 text from here on; save it as UTF-8",
    ),
    _bad(
        "a NUL",
        "name: é\0\n",
        '1:8: B004 the control character "\\x00" is not text; remove it',
    ),
    _bad(
        "an escape character",
        "name: A\nnamespace: \x1b[31m\n",
        '2:12: B004 the control character "\\x1b" is not text; remove it',
    ),
    _bad(
        "a lone surrogate",
        "name: A\nnamespace: é\ud800\n",
        "2:13: B004 the file is not UTF-8 text from here on; save it as UTF-8",
    ),
    _bad(
        "a file over 1 MiB",
        "#" * (1024 * 1024 + 1),
        "1:1: B003 the file is larger than 1 MiB (1048576 bytes); split the component",
    ),
    _bad(
        "a tab",
        "name: A\nnamespace: B\ncontent:\n\ttypes: []\n",
        "4:1: B001 a tab indents this line; YAML takes spaces only",
    ),
    _bad(
        "20,000 open brackets",
        "[" * 20_000,
        "1:21: B007 more than 20 levels of nesting; a schema needs fewer",
    ),
    _bad(
        "20,000 open lists",
        "- " * 20_000,
        "1:41: B007 more than 20 levels of nesting; a schema needs fewer",
    ),
    _bad(
        "20,000 open mappings",
        "{a: " * 20_000,
        "1:81: B007 more than 20 levels of nesting; a schema needs fewer",
    ),
    _bad(
        "a bracket left open",
        """
        name: [A
        """,
        "2:1: B001 this is not YAML: did not find expected ',' or ']', for the bracket opened in line 1",
    ),
    _bad(
        "a second colon",
        """
        name: A: B
        """,
        (
            "1:8: B001 this is not YAML: a second colon in one line, or a wrong indentation; put text that "
            "holds a colon between quotes"
        ),
    ),
    _bad(
        "a list type without quotes, in a flow mapping",
        """
        name: A
        namespace: B
        content:
          commands:
            - {name: a, type: query, returnType: [Student!]!}
        """,
        '5:53: B001 this is not YAML: a list type stands between quotes: "[Student!]!"',
    ),
    _bad(
        "a list type without quotes",
        """
        name: A
        namespace: B
        content:
          commands:
            - name: a
              type: query
              returnType: [T!]
          types: [{name: T, attributes: [{name: a, type: Int}]}]
        """,
        '7:19: B013 "returnType" takes text, not a list; put a list type between quotes: "[Student!]!"',
    ),
    _bad(
        "an @",
        """
        name: @A
        """,
        '1:7: B001 this is not YAML: a value cannot begin with "@"; put it between quotes',
    ),
    _bad(
        "a quotation mark left open",
        """
        name: 'A
        """,
        "2:1: B001 this is not YAML: the quotation mark opened in line 1 is not closed",
    ),
    _bad(
        "two documents",
        """
        name: A
        namespace: B
        content: {}
        ---
        name: C
        """,
        "4:1: B009 a second document begins here; a schema file holds one",
    ),
    _bad(
        "an anchor",
        """
        name: &a A
        namespace: B
        content: {}
        """,
        '1:7: B005 the anchor "&a" is not allowed; remove it',
    ),
    _bad(
        "an alias bomb",
        """
        a: &a [x, x]
        b: &b [*a, *a]
        c: [*b, *b]
        """,
        '1:1: B010 unknown key "a"; known here: name, namespace, content, description',
        '1:1: B011 the schema lacks the key "content"',
        '1:1: B011 the schema lacks the key "name"',
        '1:1: B011 the schema lacks the key "namespace"',
        '1:4: B005 the anchor "&a" is not allowed; remove it',
        '2:1: B010 unknown key "b"; known here: name, namespace, content, description',
        '2:4: B005 the anchor "&b" is not allowed; remove it',
        '2:8: B005 the alias "*a" is not allowed; write the value out',
        '2:12: B005 the alias "*a" is not allowed; write the value out',
        '3:1: B010 unknown key "c"; known here: name, namespace, content, description',
        '3:5: B005 the alias "*b" is not allowed; write the value out',
        '3:9: B005 the alias "*b" is not allowed; write the value out',
    ),
    _bad(
        "a merge key",
        """
        base: &base {namespace: B}
        <<: *base
        name: A
        content: {}
        """,
        '1:1: B010 unknown key "base"; known here: name, namespace, content, description',
        '1:7: B005 the anchor "&base" is not allowed; remove it',
        "2:1: B005 the merge key << is not allowed; write the keys out",
        '2:5: B005 the alias "*base" is not allowed; write the value out',
    ),
    _bad(
        "an alias as a key",
        """
        name: A
        namespace: B
        *a : c
        content: {}
        """,
        '3:1: B005 the alias "*a" is not allowed; write the value out',
    ),
    _bad(
        "!!python/object",
        """
        name: !!python/object:os.system A
        namespace: B
        content: {}
        """,
        '1:7: B006 the tag "!!python/object:os.system" is not allowed; remove it',
    ),
    _bad(
        "!!python/object/apply",
        """
        !!python/object/apply:os.system ['true']
        """,
        '1:1: B006 the tag "!!python/object/apply:os.system" is not allowed; remove it',
    ),
    _bad(
        "the tag !",
        """
        name: ! A
        namespace: B
        content: {}
        """,
        '1:7: B006 the tag "!" is not allowed; remove it',
    ),
    _bad(
        "a tag that changes the type",
        """
        name: A
        namespace: B
        content:
          events: [{name: e, payload: T, version: !!int '1'}]
          types: [{name: T, attributes: [{name: a, type: Int}]}]
        """,
        '4:43: B006 the tag "!!int" is not allowed; remove it',
    ),
    _bad(
        "a key twice",
        """
        name: A
        name: C
        namespace: B
        content: {}
        """,
        '2:1: B008 the key "name" stands twice in this mapping; remove one',
    ),
    _bad(
        "a key twice in a flow mapping",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: Int, name: b}
        """,
        '7:32: B008 the key "name" stands twice in this mapping; remove one',
    ),
    _bad(
        "a section twice",
        """
        name: A
        namespace: B
        content: {}
        content:
          typos: 1
        """,
        '4:1: B008 the key "content" stands twice in this mapping; remove one',
    ),
    _bad(
        "the key no",
        """
        name: A
        namespace: B
        content:
          no: []
        """,
        '4:3: B013 YAML reads the key "no" as a boolean; keys here are words',
    ),
    _bad(
        "the key on",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: Int, on: 1}
        """,
        '7:32: B013 YAML reads the key "on" as a boolean; keys here are words',
    ),
    _bad(
        "a number as a key",
        """
        name: A
        namespace: B
        content: {1: a}
        """,
        '3:11: B013 YAML reads the key "1" as a number; keys here are words',
    ),
    _bad(
        "nothing as a key",
        """
        name: A
        namespace: B
        content: {~: a}
        """,
        '3:11: B013 YAML reads the key "~" as nothing; keys here are words',
    ),
    _bad(
        "a list as a key",
        """
        name: A
        ? [a]
        : b
        """,
        "2:3: B013 a key must be text, not a list or a mapping",
    ),
    _bad(
        "Windows line ends",
        "name: A\r\nnamespace: B\r\ncontent:\r\n  typos: []\r\n",
        '4:3: B010 unknown key "typos"; did you mean "types"?',
    ),
    _bad(
        "line ends that only YAML knows",
        'name: A\ndescription: "x\u2028\u0085y"\nnamespace: b-\ncontent: {}\n',
        '2:14: B018 "description" holds a character that cannot be shown: "\\u2028"; remove it',
        '3:12: B014 "b-" cannot be a name here: letters and digits, a letter first',
    ),
]

STRUCTURE = [
    _bad(
        "a word alone",
        """
        Student
        """,
        '1:1: B013 the document takes a mapping of keys to values, not "Student"',
    ),
    _bad(
        "a list as the document",
        """
        - a
        """,
        "1:1: B013 the document takes a mapping of keys to values, not a list",
    ),
    _bad(
        "nothing as the document",
        """
        ---
        """,
        "2:1: B013 the document is empty; it takes a mapping of keys to values",
    ),
    _bad(
        "a name alone",
        """
        name: A
        """,
        '1:1: B011 the schema lacks the key "content"',
        '1:1: B011 the schema lacks the key "namespace"',
    ),
    _bad(
        "an unknown key",
        """
        name: A
        namespace: B
        version: 1
        content: {}
        """,
        '3:1: B010 unknown key "version"; known here: name, namespace, content, description',
    ),
    _bad(
        "a misspelt key, and a fault under it",
        """
        name: A
        namespace: B
        contents:
          types: [{name: T, attributes: [{name: a, type: Strng}]}]
        """,
        '3:1: B010 unknown key "contents"; did you mean "content"?',
        '4:50: B012 unknown type "Strng"; did you mean "String"?',
    ),
    _bad(
        "a misspelt required key",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              atributes: [{name: a, type: Strng}]
        """,
        '6:7: B010 unknown key "atributes"; did you mean "attributes"?',
        '6:35: B012 unknown type "Strng"; did you mean "String"?',
    ),
    _bad(
        "a key that Byron has not",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: Int, required: true}
        """,
        '7:32: B010 unknown key "required"; known here: name, type, description, default, unique, index, renamedFrom',
    ),
    _bad(
        "sections left empty",
        """
        name: A
        namespace: B
        content:
          types:
          commands: ~
        """,
        '4:9: B013 "types" is empty; it takes a list',
        '5:13: B013 "commands" is empty; it takes a list',
    ),
    _bad(
        "read: left empty",
        """
        name: A
        namespace: B
        content:
          commands:
            - name: a
              type: query
              returnType: Int
              read:
        """,
        '8:12: B013 "read" is empty; it takes a mapping of keys to values',
    ),
    _bad(
        "a mapping for a list",
        """
        name: A
        namespace: B
        content:
          types: {name: T}
          commands: [{name: a, type: query, returnType: T}]
        """,
        '4:10: B013 "types" takes a list, not a mapping',
    ),
    _bad(
        "scalars for declarations",
        """
        name: A
        namespace: B
        content:
          types: [T, 5, null, []]
        """,
        '4:11: B013 an entry of this list takes a mapping of keys to values, not "T"',
        '4:14: B013 an entry of this list takes a mapping of keys to values, not "5"',
        "4:17: B013 an entry of this list is empty; it takes a mapping of keys to values",
        "4:23: B013 an entry of this list takes a mapping of keys to values, not a list",
    ),
    _bad(
        "a type without a name",
        """
        name: A
        namespace: B
        content:
          types: [{attributes: [{name: a, type: Int}]}]
          commands: [{name: a, type: query, returnType: T}]
        """,
        '4:11: B011 this entry lacks the key "name"',
    ),
    _bad(
        "no attributes",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: []}]
        """,
        '4:33: B011 "attributes" is an empty list; it needs at least one entry',
    ),
    _bad(
        "no attribute that can be read",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [5]}]
          commands: [{name: a, type: query, returnType: T, read: {get: T}}]
        """,
        '4:34: B013 an entry of this list takes a mapping of keys to values, not "5"',
    ),
    _bad(
        "yes as a name",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: yes, type: Int}
        """,
        '7:18: B013 "name" takes text, and YAML reads "yes" as a boolean; put it between quotes',
    ),
    _bad(
        "booleans, numbers and nothing as enum values",
        """
        name: A
        namespace: B
        content:
          enums: [{name: E, values: [on, off, 1, 1.5, NULL, ~]}]
        """,
        '4:30: B013 an entry of this list takes text, and YAML reads "on" as a boolean; put it between quotes',
        '4:34: B013 an entry of this list takes text, and YAML reads "off" as a boolean; put it between quotes',
        '4:39: B013 an entry of this list takes text, and YAML reads "1" as a number; begin it with a letter',
        '4:42: B013 an entry of this list takes text, and YAML reads "1.5" as a number; begin it with a letter',
        '4:47: B013 an entry of this list takes text, and YAML reads "NULL" as nothing; put it between quotes',
        "4:53: B013 an entry of this list is empty; it takes text",
    ),
    _bad(
        "a date as a name",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: 2024-01-01, type: Int}
        """,
        '7:18: B014 "2024-01-01" cannot be a name here: letters and digits, a small letter first (camelCase)',
    ),
    _bad(
        "text for a boolean",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: Int, unique: 'yes', index: 1}
        """,
        '7:40: B013 "unique" takes true or false, not "yes"',
        '7:54: B013 "index" takes true or false, not "1"',
    ),
    _bad(
        "kinds of commands that there are not",
        """
        name: A
        namespace: B
        content:
          commands:
            - {name: a, type: yes, returnType: Int}
            - {name: b, type: {a: b}, returnType: Int}
            - {name: c, type: querry, returnType: Int}
            - {name: d, type: subscription, returnType: Int}
        """,
        '5:23: B018 "yes" is not allowed as "type"; allowed: query, mutation',
        '6:23: B013 "type" takes text, not a mapping',
        '7:23: B018 "querry" is not allowed as "type"; did you mean "query"?',
        '8:23: B018 "subscription" is not allowed as "type"; allowed: query, mutation',
    ),
    _bad(
        "numbers that are no limit",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int}]}]
          commands:
            - {name: c0, type: query, returnType: '[T]', read: {list: T, limit: 0}}
            - {name: c1, type: query, returnType: '[T]', read: {list: T, limit: 10001}}
            - {name: c2, type: query, returnType: '[T]', read: {list: T, limit: -1}}
            - {name: c3, type: query, returnType: '[T]', read: {list: T, limit: 1e3}}
            - {name: c4, type: query, returnType: '[T]', read: {list: T, limit: 0x10}}
            - {name: c5, type: query, returnType: '[T]', read: {list: T, limit: 1_000}}
            - {name: c6, type: query, returnType: '[T]', read: {list: T, limit: 010}}
            - {name: c7, type: query, returnType: '[T]', read: {list: T, limit: 100.0}}
            - {name: c8, type: query, returnType: '[T]', read: {list: T, limit: '5'}}
            - {name: c9, type: query, returnType: '[T]', read: {list: T, limit: true}}
            - name: c10
              type: query
              returnType: '[T]'
              read: {list: T, limit: 99999999999999999999999999}
            - {name: c11, type: query, returnType: '[T]', read: {list: T, limit: 2024-01-01}}
            - {name: c12, type: query, returnType: '[T]', read: {list: T, limit: ~}}
        """,
        '6:73: B024 "limit" is 0; it must be at least 1',
        '7:73: B024 "limit" is 10001; it must be at most 10000',
        '8:73: B024 "limit" is -1; it must be at least 1',
        '9:73: B013 "limit" takes a whole number in plain digits, not "1e3"',
        '10:73: B013 "limit" takes a whole number in plain digits, not "0x10"',
        '11:73: B013 "limit" takes a whole number in plain digits, not "1_000"',
        '12:73: B013 "limit" takes a whole number in plain digits, not "010"',
        '13:73: B013 "limit" takes a whole number in plain digits, not "100.0"',
        '14:73: B013 "limit" takes a whole number in plain digits, not "5"',
        '15:73: B013 "limit" takes a whole number in plain digits, not "true"',
        '19:30: B024 "limit" is 99999999999999999999999999; it must be at most 10000',
        '20:74: B013 "limit" takes a whole number in plain digits, not "2024-01-01"',
        '21:74: B013 "limit" is empty; it takes a whole number in plain digits',
    ),
    _bad(
        "versions out of range",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int}]}]
          events:
            - {name: e, payload: T, version: 0}
            - {name: f, payload: T, version: 2147483648}
        """,
        '6:38: B024 "version" is 0; it must be at least 1',
        '7:38: B024 "version" is 2147483648; it must be at most 2147483647',
    ),
    _bad(
        "a hook outside a list",
        """
        name: A
        namespace: B
        content:
          commands: [{name: a, type: query, returnType: Int, hooks: {before: check}}]
        """,
        '4:70: B013 "before" takes a list, not "check"',
    ),
    _bad(
        "hooks without a moment",
        """
        name: A
        namespace: B
        content:
          commands: [{name: a, type: query, returnType: Int, hooks: [check]}]
        """,
        '4:61: B013 "hooks" takes a mapping of keys to values, not a list',
    ),
    _bad(
        "too many attributes",
        TOO_MANY_ATTRIBUTES,
        '7:9: B024 "attributes" has 1001 entries; at most 1000 are allowed',
    ),
    _bad(
        "a number as a description",
        """
        name: A
        namespace: B
        content: {}
        description: 5
        """,
        '4:14: B013 "description" takes text, and YAML reads "5" as a number; put it between quotes',
    ),
    _bad(
        "a long description",
        "name: A\nnamespace: B\ncontent: {}\ndescription: " + "x" * 2001,
        '4:14: B024 "description" has 2001 characters; at most 2000 are allowed',
    ),
    _bad(
        "a NUL in a description",
        'name: A\nnamespace: B\ncontent: {}\ndescription: "a\\0b"\n',
        '4:14: B018 "description" holds a character that cannot be shown: "\\x00"; remove it',
    ),
    _bad(
        "a description that turns the text around",
        'name: A\nnamespace: B\ncontent: {}\ndescription: "a\u202eb"\n',
        '4:14: B018 "description" holds a character that cannot be shown: "\\u202e"; remove it',
    ),
    _bad(
        "apply: with two operations, none, and an empty one",
        """
        name: A
        namespace: B
        content:
          handlers:
            - {name: h, event: e, apply: {create: T, delete: T}}
            - {name: i, event: e, apply: {}}
            - {name: j, event: e, apply: {create: }}
          types: [{name: T, attributes: [{name: a, type: Int}]}]
        """,
        '5:34: B022 "apply" takes exactly one of the keys create, update, upsert, delete',
        '6:34: B022 "apply" takes exactly one of the keys create, update, upsert, delete',
        '7:43: B013 "create" is empty; it takes text',
    ),
    _bad(
        "read: with list and get",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int}]}]
          commands: [{name: a, type: query, returnType: T, read: {get: T, list: T}}]
        """,
        '5:58: B022 "read" takes exactly one of the keys list, get, count',
    ),
]

NAMES = [
    _bad(
        "paths as names",
        """
        name: A
        namespace: B
        content:
          types:
            - name: ../../etc/passwd
              attributes:
                - {name: ../x, type: Int}
        """,
        '5:13: B014 "../../etc/passwd" cannot be a name here: letters and digits, a capital letter first',
        '7:18: B014 "../x" cannot be a name here: letters and digits, a small letter first (camelCase)',
    ),
    _bad(
        "code as names",
        """
        name: A
        namespace: B
        content:
          commands:
            - name: "a():\\n  import os #"
              type: query
              returnType: Int
            - name: "b\\"; x"
              type: query
              returnType: Int
        """,
        (
            '5:13: B014 "a():\\n  import os #" cannot be a name here: letters and digits, a small letter first '
            "(camelCase)"
        ),
        '8:13: B014 "b\\"; x" cannot be a name here: letters and digits, a small letter first (camelCase)',
    ),
    _bad(
        "names that end a line",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: "a\\n", type: "Int\\n"}
        """,
        '7:18: B014 "a\\n" cannot be a name here: letters and digits, a small letter first (camelCase)',
        '7:31: B017 "Int\\n" is not a type; write one as "Int", "Int!" or "[Int!]!"',
    ),
    _bad(
        "a name as a block",
        """
        name: |
          A
        namespace: B
        content: {}
        """,
        '1:7: B014 "A\\n" cannot be a name here: letters and digits, a letter first',
    ),
    _bad(
        "full-width letters",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: ｉｍｐｏｒｔ, type: Ｉｎｔ}
        """,
        '7:18: B014 "ｉｍｐｏｒｔ" cannot be a name here: letters and digits, a small letter first (camelCase)',
        '7:32: B017 "Ｉｎｔ" is not a type; write one as "Int", "Int!" or "[Int!]!"',
    ),
    _bad(
        "underscores and capitals",
        """
        name: A
        namespace: B
        content:
          types:
            - name: __Schema
              attributes:
                - {name: __init__, type: Int}
                - {name: _a, type: Int}
                - {name: a_, type: Int}
                - {name: a__b, type: Int}
                - {name: a-b, type: Int}
                - {name: Ab, type: Int}
        """,
        '5:13: B014 "__Schema" cannot be a name here: letters and digits, a capital letter first',
        '7:18: B014 "__init__" cannot be a name here: letters and digits, a small letter first (camelCase)',
        '8:18: B014 "_a" cannot be a name here: letters and digits, a small letter first (camelCase)',
        '9:18: B014 "a_" cannot be a name here: letters and digits, a small letter first (camelCase)',
        '10:18: B014 "a__b" cannot be a name here: letters and digits, a small letter first (camelCase)',
        '11:18: B014 "a-b" cannot be a name here: letters and digits, a small letter first (camelCase)',
        '12:18: B014 "Ab" cannot be a name here: letters and digits, a small letter first (camelCase)',
    ),
    _bad(
        "names of components",
        """
        name: ../x
        namespace: my-space
        content: {}
        """,
        '1:7: B014 "../x" cannot be a name here: letters and digits, a letter first',
        '2:12: B014 "my-space" cannot be a name here: letters and digits, a letter first',
    ),
    _bad(
        "names too long, in schema.yaml and as a column",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
                  type: Int
                - {name: aBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaB, type: Int}
        """,
        (
            '7:17: B014 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…" is too long: 60 '
            "characters at most"
        ),
        (
            '9:18: B014 "aBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaBaB" is too long: its column '
            "a_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_ba_b may have 60 characters"
            " at most"
        ),
    ),
    _bad(
        "event names",
        """
        name: A
        namespace: B
        content:
          handlers:
            - {name: a, event: New.Student}
            - {name: b, event: 'new..student'}
            - {name: c, event: 'new.>'}
            - {name: d, event: '*'}
        """,
        (
            '5:24: B014 "New.Student" cannot be a name here: words joined by dots, each a small letter first '
            "(new.student)"
        ),
        (
            '6:24: B014 "new..student" cannot be a name here: words joined by dots, each a small letter first '
            "(new.student)"
        ),
        '7:24: B014 "new.>" cannot be a name here: words joined by dots, each a small letter first (new.student)',
        '8:24: B014 "*" cannot be a name here: words joined by dots, each a small letter first (new.student)',
    ),
    _bad(
        "enum values",
        """
        name: A
        namespace: B
        content:
          enums: [{name: E, values: [A-B, __A, A_, 1A, 'A B', true, 'true', 'null', mro]}]
        """,
        '4:30: B014 "A-B" cannot be a name here: letters, digits and single underscores, a letter first',
        '4:35: B014 "__A" cannot be a name here: letters, digits and single underscores, a letter first',
        '4:40: B014 "A_" cannot be a name here: letters, digits and single underscores, a letter first',
        '4:44: B014 "1A" cannot be a name here: letters, digits and single underscores, a letter first',
        '4:48: B014 "A B" cannot be a name here: letters, digits and single underscores, a letter first',
        '4:55: B013 an entry of this list takes text, and YAML reads "true" as a boolean; put it between quotes',
        '4:61: B015 "true" is reserved by GraphQL or Python; choose another name',
        '4:69: B015 "null" is reserved by GraphQL or Python; choose another name',
        '4:77: B015 "mro" is reserved by GraphQL or Python; choose another name',
    ),
    _bad(
        "attributes that models have",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: pk, type: Int}
                - {name: objects, type: Int}
                - {name: save, type: Int}
                - {name: id, type: Int}
                - {name: cleanFields, type: Int}
                - {name: self, type: Int}
                - {name: models, type: Int}
                - {name: is_type_of, type: Int}
                - {name: class, type: Int}
        """,
        '7:18: B015 "pk" is an attribute of every such Django model; choose another name',
        '8:18: B015 "objects" is an attribute of every such Django model; choose another name',
        '9:18: B015 "save" is an attribute of every such Django model; choose another name',
        '10:18: B015 each type gets "id: ID!" by itself; remove this attribute',
        '11:18: B015 "cleanFields" is an attribute of every such Django model; choose another name',
        '12:18: B015 "self" is a word that models.py needs itself; choose another name',
        '13:18: B015 "models" is a word that models.py needs itself; choose another name',
        '14:18: B015 "is_type_of" is reserved by Graphene; choose another name',
        '15:18: B015 "class" is a Python keyword; choose another name',
    ),
    _bad(
        "a method that a date adds",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: birth, type: Date!}
                - {name: getNextByBirth, type: Int}
                - {name: getNextByName, type: Int}
        """,
        '8:18: B015 "getNextByBirth" is an attribute of every such Django model; choose another name',
    ),
    _bad(
        "types that GraphQL has",
        """
        name: A
        namespace: B
        content:
          types:
            - {name: Query, attributes: [{name: a, type: Int}]}
            - {name: Mutation, attributes: [{name: a, type: Int}]}
            - {name: String, attributes: [{name: a, type: Int}]}
            - {name: None, attributes: [{name: a, type: Int}]}
            - {name: DateTime, attributes: [{name: a, type: Int}]}
        """,
        '5:14: B015 "Query" is reserved by GraphQL or Python; choose another name',
        '6:14: B015 "Mutation" is reserved by GraphQL or Python; choose another name',
        '7:14: B015 "String" is a scalar of the type table; choose another name',
        '8:14: B015 "None" is reserved by GraphQL or Python; choose another name',
        '9:14: B015 "DateTime" is a scalar of the type table; choose another name',
    ),
    _bad(
        "Python keywords",
        """
        name: A
        namespace: B
        content:
          commands:
            - name: import
              type: query
              returnType: Int
              parameters: [{name: from, type: Int}, {name: ctx, type: Int}]
          inputs: [{name: I, attributes: [{name: class, type: Int}]}]
          handlers: [{name: lambda, event: e}]
        """,
        '5:13: B015 "import" is a Python keyword; choose another name',
        '8:27: B015 "from" is a Python keyword; choose another name',
        '8:52: B015 "ctx" is an argument of Byron\'s own; choose another name',
        '9:42: B015 "class" is a Python keyword; choose another name',
        '10:21: B015 "lambda" is a Python keyword; choose another name',
    ),
    _bad(
        "files with a meaning",
        """
        name: A
        namespace: B
        content:
          commands:
            - {name: conftest, type: query, returnType: Int, hooks: {before: [testIt, aux]}}
          handlers: [{name: testPayment, event: e}, {name: nul, event: e}]
        """,
        (
            '5:14: B015 "conftest" would be the file conftest.py, which pytest or Windows takes for something '
            "else; choose another name"
        ),
        (
            '5:71: B015 "testIt" would be the file test_it.py, which pytest or Windows takes for something '
            "else; choose another name"
        ),
        (
            '5:79: B015 "aux" would be the file aux.py, which pytest or Windows takes for something else; '
            "choose another name"
        ),
        (
            '6:21: B015 "testPayment" would be the file test_payment.py, which pytest or Windows takes for '
            "something else; choose another name"
        ),
        (
            '6:52: B015 "nul" would be the file nul.py, which pytest or Windows takes for something else; '
            "choose another name"
        ),
    ),
    _bad(
        "type, enum and input of one name",
        """
        name: A
        namespace: B
        content:
          types:
            - {name: T, attributes: [{name: a, type: Int}]}
            - {name: T, attributes: [{name: a, type: Int}]}
          enums: [{name: T, values: [A]}]
          inputs: [{name: t, attributes: [{name: a, type: Int}]}]
        """,
        '6:14: B016 "T" is already the name of a type, input or enum; remove or rename one',
        '7:18: B016 "T" is already the name of a type, input or enum; remove or rename one',
        '8:19: B014 "t" cannot be a name here: letters and digits, a capital letter first',
    ),
    _bad(
        "types that differ in case",
        """
        name: A
        namespace: B
        content:
          types:
            - {name: Ab, attributes: [{name: a, type: Int}]}
            - {name: AB, attributes: [{name: a, type: Int}]}
        """,
        '6:14: B016 "AB" and "Ab", already the name of a type, input or enum, are both ab in Python; rename one',
    ),
    _bad(
        "attributes alike",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: Int}
                - {name: a, type: Int}
                - {name: fooBar, type: Int}
                - {name: foo_bar, type: Int}
                - {name: foobar, type: Int}
        """,
        '8:18: B016 "a" is already the name of an attribute of this type; remove or rename one',
        (
            '10:18: B016 "foo_bar" and "fooBar", already the name of an attribute of this type, are both '
            "foo_bar in Python; rename one"
        ),
        (
            '11:18: B016 "foobar" and "fooBar", already the name of an attribute of this type, differ in case '
            "alone; rename one"
        ),
    ),
    _bad(
        "the column of a reference",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: advisor, type: T}
                - {name: advisorId, type: ID}
        """,
        '8:18: B016 "advisorId" is where the reference "advisor" is stored; rename one',
    ),
    _bad(
        "commands of one file",
        """
        name: A
        namespace: B
        content:
          commands:
            - {name: getAll, type: query, returnType: Int}
            - {name: get_all, type: mutation, returnType: Int}
            - {name: getall, type: query, returnType: Int}
            - {name: getAll, type: query, returnType: Int}
        """,
        (
            '6:14: B016 "get_all" and "getAll", already the name of one of the commands, are both get_all in '
            "Python; rename one"
        ),
        ('7:14: B016 "getall" and "getAll", already the name of one of the commands, differ in case alone; rename one'),
        '8:14: B016 "getAll" is already the name of one of the commands; remove or rename one',
    ),
    _bad(
        "a handler twice",
        """
        name: A
        namespace: B
        content:
          handlers: [{name: h, event: a}, {name: h, event: a}]
        """,
        '4:42: B016 "h" is already the name of one of the handlers; remove or rename one',
    ),
    _bad(
        "an enum value twice",
        """
        name: A
        namespace: B
        content:
          enums: [{name: E, values: [A, B, A, a]}]
        """,
        '4:36: B016 "A" stands twice in this enum; remove one',
    ),
    _bad(
        "an event twice",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int}]}]
          events: [{name: e, payload: T}, {name: e, payload: T}]
        """,
        '5:42: B016 "e" is already the name of one of the events; remove or rename one',
    ),
    _bad(
        "a parameter twice",
        """
        name: A
        namespace: B
        content:
          commands:
            - name: a
              type: query
              returnType: Int
              parameters: [{name: x, type: Int}, {name: x, type: Int}]
        """,
        '8:49: B016 "x" is already the name of a parameter of this command; remove or rename one',
    ),
    _bad(
        "an input's attribute twice",
        """
        name: A
        namespace: B
        content:
          inputs: [{name: I, attributes: [{name: x, type: Int}, {name: x, type: Int}]}]
        """,
        '4:64: B016 "x" is already the name of an attribute of this input; remove or rename one',
    ),
    _bad(
        "hooks of one file",
        """
        name: A
        namespace: B
        content:
          commands:
            - name: a
              type: query
              returnType: Int
              hooks: {before: [checkIt, checkIt], after: [check_it, checkIt]}
        """,
        '8:33: B016 "checkIt" stands twice in this list; remove one',
        '8:51: B016 "check_it" is in the same file as "checkIt", check_it.py; rename one',
        '8:61: B016 "checkIt" stands twice in this list; remove one',
    ),
]

TYPES = [
    _bad(
        "unknown types",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: Strng}
                - {name: b, type: '[Xyzzy!]!'}
        """,
        '7:27: B012 unknown type "Strng"; did you mean "String"?',
        '8:27: B012 unknown type "Xyzzy"',
    ),
    _bad(
        "what is no type expression",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: '[[Int]]'}
                - {name: b, type: 'Int!!'}
                - {name: c, type: '[Int'}
                - {name: d, type: ''}
                - {name: e, type: Int }
                - {name: f, type: 'List<Int>'}
        """,
        '7:27: B017 "[[Int]]" is not a type; write one as "Int", "Int!" or "[Int!]!"',
        '8:27: B017 "Int!!" is not a type; write one as "Int", "Int!" or "[Int!]!"',
        '9:27: B017 "[Int" is not a type; write one as "Int", "Int!" or "[Int!]!"',
        '10:27: B017 "" is not a type; write one as "Int", "Int!" or "[Int!]!"',
        '12:27: B017 "List<Int>" is not a type; write one as "Int", "Int!" or "[Int!]!"',
    ),
    _bad(
        "types and inputs in each other's place",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: I}]}]
          inputs: [{name: I, attributes: [{name: a, type: T}]}]
          commands: [{name: a, type: query, returnType: I, parameters: [{name: x, type: T}]}]
        """,
        '4:50: B020 "I" is an input, which cannot be stored or returned; use a type',
        '5:51: B020 "T" is a type, which clients cannot send; use an input, or "ID" for a reference',
        '6:49: B020 "I" is an input, which cannot be stored or returned; use a type',
        '6:81: B020 "T" is a type, which clients cannot send; use an input, or "ID" for a reference',
    ),
    _bad(
        "inputs without end",
        """
        name: A
        namespace: B
        content:
          inputs:
            - {name: A, attributes: [{name: b, type: B!}]}
            - {name: B, attributes: [{name: a, type: A!}]}
            - {name: C, attributes: [{name: a, type: A!}, {name: c, type: C!}]}
            - {name: D, attributes: [{name: d, type: D}, {name: e, type: '[D!]!'}]}
        """,
        "5:14: B021 A → B → A require one another without end; make one of these attributes optional",
        "7:14: B021 C → C requires itself without end; make one of these attributes optional",
    ),
    _bad(
        "indexes on lists and JSON",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: '[Int]', unique: true}
                - {name: b, type: JSON, index: true}
        """,
        '7:44: B022 "[Int]" cannot be unique: lists and JSON have no order; remove unique:',
        '8:40: B022 "JSON" cannot be index: lists and JSON have no order; remove index:',
    ),
]

EVENTS = [
    _bad(
        "payloads that are none",
        """
        name: A
        namespace: B
        content:
          enums: [{name: E, values: [A]}]
          events:
            - {name: e, payload: Studnt}
            - {name: f, payload: String}
            - {name: g, payload: E}
          types: [{name: Student, attributes: [{name: a, type: Int}]}]
        """,
        '6:26: B012 unknown type "Studnt"; did you mean "Student"?',
        '7:26: B020 "String" is not one of the types and inputs of this schema',
        '8:26: B020 "E" is not one of the types and inputs of this schema',
    ),
    _bad(
        "payloads without a key",
        """
        name: A
        namespace: B
        content:
          inputs:
            - name: I
              attributes: [{name: a, type: Int!}, {name: b, type: Int}, {name: c, type: JSON!}]
          events:
            - {name: e, payload: I}
            - {name: f, payload: I, key: b}
            - {name: g, payload: I, key: c}
            - {name: h, payload: I, key: a}
        """,
        '8:7: B019 I has no attribute "id" to be the key; add it, or name another with key:',
        '9:34: B020 the key "b" is "Int"; a key is required: write "Int!"',
        '10:34: B020 the key "c" is "JSON!"; a key is required, no list, and neither an input nor JSON',
    ),
    _bad(
        "apply: to what is no type",
        """
        name: A
        namespace: B
        content:
          types: [{name: Student, attributes: [{name: a, type: Int}]}]
          handlers:
            - {name: h, event: e, apply: {create: Studnt}}
            - {name: i, event: e, apply: {delete: Int}}
        """,
        '6:43: B012 unknown type "Studnt"; did you mean "Student"?',
        '7:43: B020 "Int" is not one of the types of this schema',
    ),
    _bad(
        "payloads that do not fill the type",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int!}, {name: b, type: '[Int!]'}]}]
          inputs:
            - name: I
              attributes:
                - {name: id, type: Int!}
                - {name: a, type: String!}
                - {name: b, type: '[Int]'}
            - {name: J, attributes: [{name: key, type: ID!}]}
          events: [{name: e, payload: I}, {name: f, payload: J, key: key}]
          handlers:
            - {name: h, event: e, apply: {update: T}}
            - {name: i, event: f, apply: {create: T}}
            - {name: j, event: f, apply: {delete: T}}
        """,
        (
            '14:43: B023 e carries I, whose "a" is "String!", where T takes "Int!"; change the payload, or '
            "write the handler in Python"
        ),
        (
            '14:43: B023 e carries I, whose "b" is "[Int]", where T takes "[Int!]"; change the payload, or '
            "write the handler in Python"
        ),
        (
            '14:43: B023 e carries I, whose "id" is "Int!" and must be "ID!"; change the payload, or write the '
            "handler in Python"
        ),
        "15:43: B023 f carries J, which lacks id, a of T; change the payload, or write the handler in Python",
        "16:43: B023 f carries J, which lacks id of T; change the payload, or write the handler in Python",
    ),
    _bad(
        "one event, two payloads",
        """
        name: A
        namespace: B
        content:
          types:
            - {name: T, attributes: [{name: a, type: Int}]}
            - {name: U, attributes: [{name: a, type: Int}]}
          commands:
            - {name: a, type: mutation, returnType: T, emit: {event: e}}
            - {name: b, type: mutation, returnType: U, emit: {event: e}}
        """,
        "9:62: B022 e carries T when a emits it, and U here; name another event",
    ),
]

COMMANDS = [
    _bad(
        "a query that emits, a mutation that reads",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int}]}]
          commands:
            - {name: a, type: query, returnType: T, emit: {event: e}}
            - {name: b, type: mutation, returnType: T, read: {get: T}}
            - {name: c, type: query, returnType: T, emits: [e]}
            - {name: d, type: query, returnType: T, emits: []}
        """,
        "6:51: B022 a query emits nothing; use type: mutation, or read:",
        "7:54: B022 a mutation does not read; use type: query, or emit:",
        "8:52: B022 a query emits nothing; use type: mutation, or remove this",
    ),
    _bad(
        "read: in all its wrong ways",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: Int}
                - {name: b, type: '[Int]'}
                - {name: c, type: JSON}
          commands:
            - {name: c1, type: query, returnType: T, read: {list: T}}
            - {name: c2, type: query, returnType: T!, read: {get: T}}
            - name: c3
              type: query
              returnType: '[T]'
              read: {get: T, filter: [a], order: [a], limit: 5}
            - name: c4
              type: query
              returnType: '[T]'
              read: {list: T, filter: [b, x, a, a], order: [-c, a, -a]}
            - name: c5
              type: query
              returnType: T
              read: {get: T}
              parameters: [{name: id, type: ID!}]
            - {name: c6, type: query, returnType: '[X]', read: {list: X}}
        """,
        '11:43: B022 "T" is not what list: T returns; write "[T!]!"',
        '12:43: B022 get: finds nothing for an unknown id; write "T" without the !',
        '15:19: B022 "[T]" is not what get: T returns; write "T"',
        "16:30: B022 filter: goes with list: and count:, not with get:; remove it",
        "16:42: B022 order: goes with list:, not with get:; remove it",
        "16:54: B022 limit: goes with list:, not with get:; remove it",
        '20:32: B020 "b" is "[Int]", which cannot be compared; remove it here',
        '20:35: B019 T has no attribute "x"; it has id, a, b, c',
        '20:41: B016 "a" stands twice in filter:; remove one',
        '20:53: B020 "c" is "JSON", which cannot be compared; remove it here',
        '20:60: B016 "a" stands twice in order:; remove one',
        "25:19: B022 a declared read takes its parameters from filter:, or takes the id (get); remove these",
        '26:43: B012 unknown type "X"',
        '26:63: B012 unknown type "X"',
    ),
    _bad(
        "roles",
        """
        name: A
        namespace: B
        content:
          commands:
            - {name: c1, type: query, returnType: Int, roles: []}
            - {name: c2, type: query, returnType: Int, roles: teacher}
            - {name: c3, type: query, returnType: Int, roles: ~}
            - {name: c4, type: query, returnType: Int, roles: [a, b, a]}
            - {name: c5, type: query, returnType: Int, roles: [anyone, a]}
            - {name: c6, type: query, returnType: Int, roles: [a, authenticated]}
            - {name: c7, type: query, returnType: Int, roles: [Anyone]}
            - {name: c8, type: query, returnType: Int, roles: ['a b', /a, 1, "a\\n"]}
            - {name: c9, type: query, returnType: Int, role: [a]}
            - {name: c10, type: query, returnType: Int, roles: [read:x, roles/a, a_b.c-d]}
        """,
        '5:55: B011 "roles" is an empty list; it needs at least one entry',
        '6:55: B013 "roles" takes a list, not "teacher"',
        '7:55: B013 "roles" is empty; it takes a list',
        '8:62: B016 "a" stands twice in roles:; remove one',
        (
            '9:56: B022 "anyone" opens the command to everyone, with a token or without, whatever roles are beside '
            "it; let it stand alone, or remove it"
        ),
        (
            '10:59: B022 "authenticated" opens the command to everyone who has a valid token, whatever roles are '
            "beside it; let it stand alone, or remove it"
        ),
        '11:56: B015 "Anyone" is too like the reserved word anyone; write it so, or rename the role',
        '12:56: B014 "a b" cannot be a name here: letters, digits and any of _ . : / -, a letter first',
        '12:63: B014 "/a" cannot be a name here: letters, digits and any of _ . : / -, a letter first',
        '12:67: B013 an entry of this list takes text, and YAML reads "1" as a number; begin it with a letter',
        '12:70: B014 "a\\n" cannot be a name here: letters, digits and any of _ . : / -, a letter first',
        '13:48: B010 unknown key "role"; did you mean "roles"?',
    ),
    _bad(
        "too many and too long roles",
        "name: A\nnamespace: B\ncontent:\n  commands:\n"
        f"    - {{name: a, type: query, returnType: Int, roles: [a{', a' * 100}]}}\n"
        f"    - {{name: b, type: query, returnType: Int, roles: [{'b' * 101}]}}\n",
        '5:54: B024 "roles" has 101 entries; at most 100 are allowed',
        f'6:55: B014 "{"b" * 59}…" is too long: 100 characters at most',
    ),
    _bad(
        "signs before an order",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int}]}]
          commands:
            - {name: a, type: query, returnType: '[T]', read: {list: T, order: ['+a', '--a']}}
        """,
        '6:73: B014 "+a" cannot be a name here: an attribute\'s name, with - before it for descending',
        '6:79: B014 "--a" cannot be a name here: an attribute\'s name, with - before it for descending',
    ),
    _bad(
        "emit: update and delete in all their wrong ways",
        """
        name: A
        namespace: B
        content:
          inputs:
            - {name: Part, attributes: [{name: id, type: ID!}, {name: b, type: String}]}
            - {name: Whole, attributes: [{name: id, type: ID!}, {name: a, type: Int!}]}
          types: [{name: T, attributes: [{name: a, type: Int!}, {name: b, type: String}]}]
          events: [{name: t.whole, payload: T}, {name: t.part, payload: Part}, {name: t.other, payload: Whole}]
          commands:
            - {name: c1, type: mutation, returnType: T!, emit: {event: e, update: T, delete: T}}
            - {name: c2, type: mutation, returnType: T!, emit: {event: e, update: X}}
            - {name: c3, type: mutation, returnType: Int!, emit: {event: e, update: T}}
            - name: c4
              type: mutation
              returnType: T!
              emit: {event: e, update: T}
              parameters: [{name: b, type: String}]
            - name: c5
              type: mutation
              returnType: T!
              emit: {event: e, update: T}
              parameters: [{name: id, type: ID!}]
            - name: c6
              type: mutation
              returnType: T!
              emit: {event: e, update: T}
              parameters: [{name: id, type: ID}, {name: c, type: Int}, {name: a, type: String}]
            - name: c7
              type: mutation
              returnType: T!
              emit: {event: e, delete: T}
              parameters: [{name: id, type: ID!}, {name: b, type: String}]
            - name: c8
              type: mutation
              returnType: T!
              emit: {event: t.whole, update: T}
              parameters: [{name: id, type: ID!}, {name: a, type: Int}]
            - name: c9
              type: mutation
              returnType: T!
              emit: {event: t.part, update: T}
              parameters: [{name: id, type: ID!}, {name: a, type: Int}]
            - name: c10
              type: mutation
              returnType: T!
              emit: {event: t.other, delete: T}
              parameters: [{name: id, type: ID!}]
            - name: right
              type: mutation
              returnType: T!
              emit: {event: t.part, update: T}
              parameters: [{name: id, type: ID!}, {name: b, type: String}]
            - name: gone
              type: mutation
              returnType: T!
              emit: {event: t.gone, delete: T}
              parameters: [{name: id, type: ID!}]
        """,
        '10:56: B022 "emit" takes at most one of the keys update, delete',
        '11:75: B012 unknown type "X"',
        '12:46: B023 emit: is about one entity, so returnType must be T!; it is "Int!"',
        "16:13: B023 no parameter gives id, of the T meant; add it or write Python",
        "21:13: B023 no parameter gives what changes; add it or write Python",
        '27:20: B023 "id" is "ID", and update: takes "ID!"; make them one',
        '27:42: B023 T has no attribute "c" to take this parameter; remove it, or write Python',
        '27:64: B023 "a" is "String", and T takes "Int!"; make them one',
        '32:43: B023 delete: takes the id alone; remove "b"',
        "36:21: B022 t.whole carries T, which requires a, and update: sends what changes; make that "
        "optional in an input, or do not declare the event",
        "41:21: B022 t.part carries Part, which has no a; add it there, or remove the parameter",
        "46:21: B022 t.other carries Whole, which requires a, and delete: sends the id alone; make that "
        "optional in an input, or do not declare the event",
    ),
    _bad(
        "emit: in all its wrong ways",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: a, type: Int!}
                - {name: b, type: '[Int!]!'}
                - {name: r, type: T}
          inputs: [{name: I, attributes: [{name: a, type: Int!}, {name: z, type: Int}]}]
          events: [{name: e, payload: I, key: a}]
          commands:
            - {name: c1, type: mutation, returnType: T, emit: {event: x}}
            - {name: c2, type: mutation, returnType: '[T]', emit: {event: x}}
            - name: c3
              type: mutation
              returnType: T
              emit: {event: e}
              parameters:
                - {name: a, type: Int}
                - {name: b, type: '[Int]!'}
                - {name: id, type: ID}
                - {name: r, type: ID}
            - name: c4
              type: mutation
              returnType: T
              emit: {event: x}
              parameters:
                - {name: i, type: I!}
                - {name: a, type: Int!}
                - {name: b, type: '[Int!]!'}
            - {name: c5, type: mutation, returnType: Boolean, emit: {event: x}}
        """,
        "13:55: B023 no parameter gives a, b, which T requires; add it or write Python",
        '14:46: B023 emit: is about one entity, so returnType must be one of the types; it is "[T]"',
        "18:21: B022 e carries I, and this command makes T; make them one",
        '20:11: B023 "a" is "Int", and T takes "Int!"; make them one',
        '21:11: B023 "b" is "[Int]!", and T takes "[Int!]!"; make them one',
        "22:11: B023 emit: makes the id itself; remove this parameter",
        '29:11: B023 T has no attribute "z" to take this parameter; remove it, or write Python',
        '30:11: B022 "i" and "a" both give "a"; remove one',
        '32:46: B023 emit: is about one entity, so returnType must be one of the types; it is "Boolean"',
    ),
    _bad(
        "unknown types in declared commands, told once",
        """
        name: A
        namespace: B
        content:
          types:
            - name: Student
              attributes:
                - {name: a, type: Strng!}
                - {name: b, type: Int!}
                - {name: c, type: Student}
          commands:
            - {name: c1, type: mutation, returnType: Studnt, emit: {event: x}}
            - {name: c2, type: query, returnType: '[Studnt]', read: {list: Student}}
            - name: c3
              type: mutation
              returnType: Student
              emit: {event: x}
              parameters:
                - {name: a, type: String!}
                - {name: b, type: Itn!}
                - {name: c, type: Student}
            - {name: c4, type: query, returnType: '[student]', read: {list: student}}
        """,
        '7:27: B012 unknown type "Strng"; did you mean "String"?',
        '11:46: B012 unknown type "Studnt"; did you mean "Student"?',
        '12:43: B012 unknown type "Studnt"; did you mean "Student"?',
        '19:27: B012 unknown type "Itn"; did you mean "Int"?',
        '20:27: B020 "Student" is a type, which clients cannot send; use an input, or "ID" for a reference',
        '21:43: B012 unknown type "student"; did you mean "Student"?',
        '21:69: B014 "student" cannot be a name here: letters and digits, a capital letter first',
    ),
    _bad(
        "types without a usable name, and what refers to them",
        """
        name: A
        namespace: B
        content:
          types:
            - name: student
              attributes: [{name: a, type: Strng}, {name: b, type: Xyzzy}]
            - name: ???
              attributes: [{name: a, type: Int}]
          commands:
            - name: a
              type: query
              returnType: '[Student]'
              read: {list: Student, filter: [c]}
          handlers: [{name: h, event: e, apply: {create: Professor}}]
        """,
        '5:13: B014 "student" cannot be a name here: letters and digits, a capital letter first',
        '6:36: B012 unknown type "Strng"; did you mean "String"?',
        '7:13: B014 "???" cannot be a name here: letters and digits, a capital letter first',
    ),
    _bad(
        "misspelt parameters of a declared mutation",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes: [{name: name, type: String!}, {name: course, type: String!}]
          commands:
            - name: a
              type: mutation
              returnType: T
              parameters: [{name: nmae, type: String!}, {name: cuorse, type: String!}]
              emit: {event: e}
            - name: b
              type: mutation
              returnType: T
              parameters: [{name: data, type: Xyzzy!}]
              emit: {event: e}
        """,
        '11:20: B023 T has no attribute "nmae" to take this parameter; did you mean "name"?',
        '11:49: B023 T has no attribute "cuorse" to take this parameter; did you mean "course"?',
        '16:39: B012 unknown type "Xyzzy"',
    ),
    _bad(
        "an id of unknown type",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int}]}]
          inputs: [{name: I, attributes: [{name: id, type: Xyzzy!}]}]
          events: [{name: e, payload: I}]
          handlers: [{name: h, event: e, apply: {delete: T}}]
        """,
        '5:52: B012 unknown type "Xyzzy"',
    ),
    _bad(
        "faults of every kind together",
        """
        name: 5
        namespace: &x B
        content:
          types:
            - {name: T, attributes: [{name: a, type: Strng}], typo: 1}
            - {name: t, attributes: [{name: pk, type: *x}]}
          commands:
            - {name: get, type: qury, returnType: "T!!"}
            - {name: list, type: query, returnType: t, read: {list: t}}
        """,
        '1:7: B013 "name" takes text, and YAML reads "5" as a number; begin it with a letter',
        '2:12: B005 the anchor "&x" is not allowed; remove it',
        '5:46: B012 unknown type "Strng"; did you mean "String"?',
        '5:55: B010 unknown key "typo"; known here: name, attributes, description, renamedFrom',
        '6:14: B014 "t" cannot be a name here: letters and digits, a capital letter first',
        '6:47: B005 the alias "*x" is not allowed; write the value out',
        '8:25: B018 "qury" is not allowed as "type"; did you mean "query"?',
        '8:43: B017 "T!!" is not a type; write one as "Int", "Int!" or "[Int!]!"',
        '9:61: B014 "t" cannot be a name here: letters and digits, a capital letter first',
    ),
]

RENAMES = [
    _bad(
        "renames from names in use",
        """
        name: A
        namespace: B
        content:
          types:
            - {name: T, renamedFrom: T, attributes: [{name: a, type: Int, renamedFrom: [z, b]}, {name: b, type: Int}]}
            - {name: U, renamedFrom: [V, e], attributes: [{name: aB, type: Int, renamedFrom: a_b}]}
            - {name: W, renamedFrom: E, attributes: [{name: a, type: Int, renamedFrom: id}]}
          enums: [{name: E, values: [X]}]
          inputs: [{name: I, attributes: [{name: a, type: Int, renamedFrom: a}, {name: b, type: Int, renamedFrom: id}]}]
        """,
        '5:30: B026 "T" is a name in this schema still, so nothing else was renamed from it; remove it here, or there',
        '5:80: B026 "b" is a name in T still, so nothing else was renamed from it; remove it here, or there',
        '6:34: B014 "e" cannot be a name here: letters and digits, a capital letter first',
        '7:30: B026 "E" is a name in this schema still, so nothing else was renamed from it; remove it here, or there',
        '7:80: B026 "id" is a name in W still, so nothing else was renamed from it; remove it here, or there',
        '9:69: B026 "a" is a name in I still, so nothing else was renamed from it; remove it here, or there',
    ),
    _bad(
        "renames of two from one name",
        """
        name: A
        namespace: B
        content:
          types:
            - {name: T, renamedFrom: S, attributes: [{name: a, type: Int}]}
            - name: U
              renamedFrom: [R, S]
              attributes:
                - {name: a, type: Int, renamedFrom: oldName}
                - {name: b, type: Int, renamedFrom: [c, old_name]}
        """,
        '7:20: B026 "S" is what "T" was renamed from already; remove it from one of them',
        '10:45: B026 "old_name" is what "a" was renamed from already; remove it from one of them',
    ),
    _bad(
        "renames from no names",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              renamedFrom: []
              attributes:
                - {name: a, type: Int, renamedFrom: 5}
                - {name: b, type: Int, renamedFrom: ~}
                - {name: c, type: Int, renamedFrom: Old}
        """,
        '6:20: B011 "renamedFrom" is an empty list; it needs at least one entry',
        '8:45: B013 "renamedFrom" takes text, and YAML reads "5" as a number; begin it with a letter',
        '9:45: B013 "renamedFrom" is empty; it takes text',
        '10:45: B014 "Old" cannot be a name here: letters and digits, a small letter first (camelCase)',
    ),
]

VALUES = [
    _bad(
        "values of other types",
        """
        name: A
        namespace: B
        content:
          enums: [{name: E, values: [RED, BLUE]}]
          types:
            - name: T
              attributes:
                - {name: a, type: "Int!", default: much}
                - {name: b, type: "[E!]!", default: [RED, BLEU]}
                - {name: c, type: String, unique: true, default: x}
                - {name: d, type: "E!", default: ~}
                - {name: e, type: "String!"}
          inputs:
            - name: I
              attributes: [{name: a, type: Decimal, default: 1.50}, {name: j, type: JSON, default: []}]
          commands:
            - name: f
              type: mutation
              returnType: "T!"
              parameters: [{name: a, type: Int, default: true}, {name: i, type: I, default: {}}]
        """,
        '8:44: B027 the default of "a" does not fit: "much" is no Int; write a whole number of 32 bits in plain digits',
        '9:45: B027 the default of "b" does not fit: "BLEU" is no E; did you mean "BLUE"?',
        '10:58: B022 "c" is unique, so no two may have its default; remove default: or unique:',
        '11:42: B013 "default" is empty; it takes a value',
        '15:54: B027 the default of "a" does not fit: 1.5 is no Decimal; write it as "12.50", between quotes',
        '15:92: B027 the default of "j" is a list or an object within JSON, which GraphQL cannot show here; '
        "leave it out, and set it in Python",
        '20:50: B027 the default of "a" does not fit: true is no Int; write a whole number of 32 bits in plain digits',
        '20:85: B027 the default of "i" does not fit: "I" is an input; give its attributes defaults instead',
    ),
    _bad(
        "values that are set",
        """
        name: A
        namespace: B
        content:
          types:
            - name: T
              attributes:
                - {name: name, type: "String!", unique: true}
                - {name: open, type: "Boolean!"}
                - {name: size, type: "Int"}
          events:
            - {name: t.closed, attributes: [{name: open, type: Boolean}, {name: size, type: String}]}
          commands:
            - name: open
              type: mutation
              returnType: "T!"
              parameters: [{name: name, type: "String!"}, {name: size, type: Int}]
              emit: {event: t.opened, set: {opn: true, size: 5, name: x, id: "1"}}
            - name: close
              type: mutation
              returnType: "T!"
              parameters: [{name: id, type: "ID!"}]
              emit: {event: t.closed, update: T, set: {open: ~, size: 5}}
            - name: drop
              type: mutation
              returnType: "T!"
              parameters: [{name: id, type: "ID!"}]
              emit: {event: t.dropped, delete: T, set: {open: false}}
        """,
        '17:42: B019 T has no attribute "opn" to be set; did you mean "open"?',
        '17:54: B022 "size" is set here, and given by a parameter; remove one',
        '17:63: B022 "name" is set here, and given by a parameter; remove one',
        '17:70: B019 T has no attribute "id" to be set; it has name, open, size',
        '22:54: B027 "open" is set to what does not fit: null is no "Boolean!"; write a value',
        '22:63: B027 "size" is set to what does not fit: 5 is no String; put it between quotes',
        '27:55: B022 delete: announces the id alone; remove "open"',
    ),
    _bad(
        "payloads that are no payloads",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: "String!"}, {name: b, type: Int}]}]
          inputs: [{name: I, attributes: [{name: id, type: "ID!"}]}]
          events:
            - {name: e}
            - {name: f, payload: I, attributes: [{name: a, type: Int}]}
            - {name: g, attributes: []}
            - {name: h, attributes: [{name: a, type: T}, {name: a, type: Strng}, {name: class, type: Int}]}
            - {name: i, key: code, attributes: [{name: a, type: Int}]}
            - {name: j, key: code, attributes: [{name: code, type: String}]}
            - {name: k, attributes: [{name: b, type: String, default: 5, renamedFrom: b}]}
            - {name: l, attributes: [{name: b, type: String}]}
          commands:
            - {name: c, type: mutation, returnType: "T!", parameters: [{name: a, type: "String!"}], emit: {event: l}}
            - name: u
              type: mutation
              returnType: "T!"
              parameters: [{name: id, type: "ID!"}, {name: a, type: String}]
              emit: {event: l, update: T}
          handlers:
            - {name: l, event: l, apply: {create: T}}
        """,
        '7:7: B011 "e" lacks the key "payload" or "attributes"',
        '8:7: B022 "f" takes exactly one of the keys payload, attributes',
        '9:29: B011 "attributes" is an empty list; it needs at least one entry',
        '10:46: B020 "T" is a type, which clients cannot send; use an input, or "ID" for a reference',
        '10:57: B016 "a" is already the name of an attribute of this event; remove or rename one',
        '10:66: B012 unknown type "Strng"; did you mean "String"?',
        '10:81: B015 "class" is a Python keyword; choose another name',
        '11:22: B019 i has no attribute "code" to be the key; add it, or name another with key:',
        '12:22: B020 the key "code" is "String"; a key is required: write "String!"',
        '13:63: B027 the default of "b" does not fit: 5 is no String; put it between quotes',
        '13:79: B026 "b" is a name in k still, so nothing else was renamed from it; remove it here, or there',
        "16:107: B022 l carries attributes of its own, and this command makes T; make them one",
        "21:21: B022 l has no a; add it there, or remove the parameter",
        "23:43: B023 l lacks a of T; change the payload, or write the handler in Python",
        '23:43: B023 l: its "b" is "String", where T takes "Int"; change the payload, or write the handler in Python',
    ),
]

VERSIONS = [
    _bad(
        "versions of nothing",
        """
        name: A
        namespace: B
        content:
          types: [{name: T, attributes: [{name: a, type: Int}]}]
          commands:
            - {name: q, type: query, returnType: T, version: true}
            - {name: c, type: mutation, returnType: T, emit: {event: e}, version: true}
            - {name: l, type: mutation, returnType: "[T!]!", parameters: [{name: id, type: ID!}], version: true}
            - {name: i, type: mutation, returnType: Int, parameters: [{name: id, type: ID}], version: true}
            - {name: n, type: mutation, returnType: T, version: 1}
        """,
        "6:54: B025 a query changes nothing; use type: mutation, or remove version:",
        "7:75: B025 a new entity has no version yet; use update: or delete:, or remove version:",
        '8:45: B025 version: is that of one entity, so returnType must be one of the types; it is "[T!]!"',
        '9:45: B025 version: is that of one entity, so returnType must be one of the types; it is "Int"',
        '9:95: B025 version: is that of the entity with the id given; add the parameter {name: id, type: "ID!"}',
        '10:57: B013 "version" takes true or false, not "1"',
    ),
    _bad(
        "names in the way of versions",
        """
        name: A
        namespace: B
        content:
          types:
            - {name: T, attributes: [{name: version, type: Int}]}
            - {name: U, attributes: [{name: version, type: Int}]}
          commands:
            - name: m
              type: mutation
              returnType: T
              parameters: [{name: id, type: ID!}, {name: version, type: Int}]
              version: true
        """,
        "5:37: B025 each T gets a version by itself, since a command takes it; rename this attribute",
        '11:50: B025 "version" is the argument that version: true adds; rename this parameter',
    ),
]

CASES = [*TEXT, *STRUCTURE, *NAMES, *TYPES, *EVENTS, *COMMANDS, *RENAMES, *VALUES, *VERSIONS]


@pytest.mark.parametrize(("source", "located"), CASES)
def test_a_bad_schema_is_refused_with_all_of_its_problems(source: str | bytes, located: list[str]) -> None:
    assert _problems(source) == located


def test_every_code_is_in_the_table() -> None:
    shown = {line.split(" ")[1] for case in CASES for line in case.values[1]}
    assert shown == set(CODES)


def test_the_message_is_the_same_for_text_and_for_bytes() -> None:
    for case in CASES:
        source = case.values[0]
        if isinstance(source, str) and "\ud800" not in source:
            assert _problems(source.encode()) == case.values[1]


def test_problems_name_the_file_they_are_given() -> None:
    with pytest.raises(InvalidSchemaError, match=r"^students/schema\.yaml:1:1: B002 "):
        parse_component("", "students/schema.yaml")


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Any) -> None:
    path = tmp_path / "schema.yaml"
    path.write_bytes(b"#" * (5 * 1024 * 1024))
    with pytest.raises(InvalidSchemaError, match=r"^schema\.yaml:1:1: B003 "):
        read_component(path)


def test_what_is_declared_may_look_odd() -> None:
    component = parse_component(ODD)
    assert component.enums["Case"].values == ("a", "A", "None", "class", "name")
    assert component.types["Type"].description == '"""quotes""", \\ and\nname: line:'
    assert component.types["Type"].attributes[0].description == "🎓 tab\there"


ODD = """
name: conftest
namespace: n
content:
  enums: [{name: Case, values: [a, A, None, class, name]}]
  types:
    - name: Type
      description: |
        \"\"\"quotes\"\"\", \\ and
        name: line:
      attributes:
        - {name: type, type: "Case!", description: "🎓 tab\\there"}
        - {name: description, type: Type}
        - {name: match, type: "[Type!]"}
  commands:
    - name: print
      type: query
      returnType: Int
      parameters: [{name: info, type: Int}, {name: root, type: Int}]
      hooks: {before: [check, print], after: [check]}
"""

# What no one thought of

VALID = """
name: Student
namespace: Calisto
description: Who studies what
content:
  types:
    - name: Student
      attributes:
        - {name: name, type: "String!", unique: true, renamedFrom: fullName}
        - {name: course, type: "Course!", index: true, renamedFrom: [subject, topic]}
        - {name: advisor, type: Professor, description: Who advises}
        - {name: marks, type: "[Decimal!]!", default: ["1.50", 2]}
        - {name: state, type: "String!"}
        - {name: classes, type: "[Student!]!"}
    - name: Professor
      attributes: [{name: name, type: "String!"}]
  inputs:
    - name: Created
      attributes: [{name: id, type: "ID!"}, {name: name, type: "String!"}, {name: again, type: Created}]
  enums: [{name: Course, values: [CS, MATH]}]
  events:
    - {name: new.student, version: 1, key: id, payload: Student}
    - {name: new.professor, payload: Created}
    - name: student.left
      attributes: [{name: reason, type: String, default: none}, {name: state, type: String}]
  commands:
    - name: getStudents
      type: query
      returnType: "[Student!]!"
      read: {list: Student, filter: [course], order: [name, -course], limit: 100}
    - {name: getStudent, type: query, returnType: Student, read: {get: Student}}
    - name: createStudent
      type: mutation
      returnType: "Student!"
      parameters:
        - {name: name, type: "String!"}
        - {name: course, type: "Course!"}
        - {name: classes, type: "[ID!]!"}
      emit: {event: new.student, set: {state: enrolled}}
      hooks: {before: [normalizeName], after: [welcome]}
    - name: removeStudent
      type: mutation
      returnType: "Student!"
      parameters: [{name: id, type: "ID!"}]
      emit: {event: student.left, update: Student, set: {state: left}}
  handlers:
    - {name: newStudent, event: new.student, apply: {create: Student}}
    - {name: newProfessor, event: new.professor, apply: {upsert: Professor}}
"""


def _problems(source: str | bytes) -> list[str]:
    with pytest.raises(InvalidSchemaError) as refused:
        parse_component(source)
    return [line.removeprefix("schema.yaml:") for line in str(refused.value).splitlines()]


def _parses_or_is_refused(source: str | bytes) -> None:
    """Parse, and let nothing but an InvalidSchemaError with a problem pass."""
    try:
        parse_component(source)
    except InvalidSchemaError as error:
        assert error.problems
        assert str(error).count("\n") == len(error.problems) - (len(error.problems) < MOST_PROBLEMS)
        assert "unnamed" not in str(error)


def _paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(deeper for key, item in items for deeper in _paths(item, (*path, key)))]


ODD_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.dates(),
    st.text(max_size=8),
    st.sampled_from(["", "Student", "student", "Strng", "Int!", "[[Int]]", "name", "id", "pk", "../x", "no", "9" * 99]),
    st.sampled_from([[], {}, [[]], [{}], {"name": "x"}, {"a": {"b": [1]}}]),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A valid schema with up to five nodes dropped, doubled, renamed, moved or replaced."""
    data = yaml.safe_load(VALID)
    for _ in range(draw(st.integers(1, 5))):
        *parent, last = draw(st.sampled_from([path for path in _paths(data) if path] or [("name",)]))
        holder = data
        for step in parent:
            holder = holder[step]
        if isinstance(holder, dict) and last not in holder:
            continue
        change = draw(st.sampled_from(["drop", "double", "rename", "replace", "swap", "deepen"]))
        if change == "drop":
            del holder[last]
        elif change == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[last]))
        elif change == "rename" and isinstance(holder, dict):
            holder[draw(st.sampled_from([f"{last}s", "typ", "name", "", "no", 1, None]))] = holder.pop(last)
        elif change == "swap":
            other = draw(st.sampled_from(_paths(data)))
            value = data
            for step in other:
                value = value[step]
            holder[last] = copy.deepcopy(value)
        elif change == "deepen":
            for _ in range(draw(st.integers(1, 25))):
                holder[last] = [holder[last]]
        else:
            holder[last] = copy.deepcopy(draw(ODD_VALUES))
    return yaml.safe_dump(
        data, allow_unicode=draw(st.booleans()), default_flow_style=draw(st.sampled_from([True, None]))
    )


RELAXED = settings(deadline=5000, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@RELAXED
@given(mutated())
def test_a_valid_schema_that_was_tampered_with_parses_or_is_refused(source: str) -> None:
    _parses_or_is_refused(source)


@RELAXED
@given(st.one_of(st.text(), st.binary()))
def test_any_text_or_bytes_are_refused_without_a_traceback(source: str | bytes) -> None:
    with pytest.raises(InvalidSchemaError):
        parse_component(source)


@RELAXED
@given(
    st.text(alphabet="nameco:tyi- \n[]{}\"'!&*|>?,#%@\t0é", max_size=60), st.integers(0, len(VALID)), st.integers(0, 40)
)
def test_text_put_into_a_valid_schema_parses_or_is_refused(text: str, place: int, cut: int) -> None:
    _parses_or_is_refused(VALID[:place] + text + VALID[place + cut :])


def _many(line: str, count: int = 10_000, section: str = "types") -> str:
    return f"name: A\nnamespace: B\ncontent:\n  {section}:\n" + "".join(line.replace("%", str(i)) for i in range(count))


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(_many("    - {name: T%, attributes: [{name: a, type: U%}]}\n"), id="unknown types"),
        pytest.param(_many("    - {name: T%, atributes%: 3}\n"), id="unknown keys"),
        pytest.param(_many("    - {name: T%, attribute: [{nam: a, typ: Int}]}\n"), id="misspelt keys"),
        pytest.param(
            _many("    - {name: I%, attributes: [{name: a, type: I%0!}, {name: b, type: I1!}]}\n", section="inputs"),
            id="inputs that require inputs",
        ),
        pytest.param(_many("    - ~\n", 100_000), id="nothing"),
        pytest.param("a: 1\n" * 100_000, id="one key"),
        pytest.param("[" + "*a, " * 100_000 + "]", id="aliases"),
        pytest.param("- name: a:\n" * 50_000, id="second colons"),
        pytest.param(f"name: {'A' * 1_000_000}\n", id="a long name"),
        pytest.param(f"{'A' * 1_000_000}: 1\n", id="a long key"),
        pytest.param(f"name: {'1:' * 500_000}1\n", id="a long number"),
    ],
)
def test_a_large_bad_file_takes_seconds_and_tells_no_more_than_can_be_read(source: str) -> None:
    started = time.process_time()
    with pytest.raises(InvalidSchemaError) as refused:
        parse_component(source)
    assert time.process_time() - started < 10
    assert len(refused.value.problems) <= MOST_PROBLEMS
    assert len(str(refused.value)) < 200_000


def test_what_is_left_out_of_a_long_report_is_mentioned() -> None:
    lines = _problems("[" + "*a, " * 2_000 + "]")
    assert len(lines) == MOST_PROBLEMS + 1
    assert lines[-1] == f" there may be more; these are the first {MOST_PROBLEMS}"
