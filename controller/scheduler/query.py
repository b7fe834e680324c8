"""The cluster query language: expressions over container instances, in constraints and list filters.

    expression := and (("||" | "or") and)*
    and        := unary (("&&" | "and") unary)*
    unary      := ("!" | "not") unary | "(" expression ")" | comparison
    comparison := subject operator [argument]
    argument   := literal | 'quoted literal' | "[" literal ("," literal)* "]"

An expression is parsed once, with every argument checked and turned into what it is compared with, and then
matched against plain facts about an instance.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from controller.scheduler.patterns import UnsafePattern, compile_pattern
from controller.state.entities import ContainerInstance

MAX_LENGTH = 2000
"""Characters of an expression, as ECS allows."""
MAX_DEPTH = 50
"""Parentheses and negations inside each other."""

ATTRIBUTE_PREFIX = "attribute:"

_OPERATORS = {
    "==": "==",
    "equals": "==",
    "!=": "!=",
    "not_equals": "!=",
    ">": ">",
    "greater_than": ">",
    ">=": ">=",
    "greater_than_equal": ">=",
    "<": "<",
    "less_than": "<",
    "<=": "<=",
    "less_than_equal": "<=",
    "exists": "exists",
    "!exists": "!exists",
    "not_exists": "!exists",
    "in": "in",
    "!in": "!in",
    "not_in": "!in",
    "=~": "=~",
    "matches": "=~",
    "!~": "!~",
    "not_matches": "!~",
}
_TEXT = frozenset({"==", "!=", "in", "!in", "=~", "!~"})
_ORDER = frozenset({"==", "!=", ">", ">=", "<", "<="})
_OPERATORS_OF = {
    "agentConnected": _TEXT,
    "agentVersion": _ORDER,
    "ec2InstanceId": _TEXT,
    "registeredAt": _ORDER,
    "runningTasksCount": _ORDER,
    "task:group": _TEXT,
}
_OPERATORS_OF_ATTRIBUTES = _TEXT | {"exists", "!exists"}

_SPACE = re.compile(r"\s*")
_SUBJECT = re.compile(r"[A-Za-z][A-Za-z0-9_./\\:-]*")
_OPERATOR = re.compile(r"==|!=|>=|<=|=~|!~|>|<|!?(?:exists|in)\b|[a-z_]+")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_BARE = re.compile(r"(?:(?!&&|\|\|)[^\s()\[\],'\"])+")
_BARE_PATTERN = re.compile(r"(?:(?!&&|\|\|)[^\s'\"])+")
_AND = re.compile(r"&&|and\b")
_OR = re.compile(r"\|\||or\b")
_NOT = re.compile(r"!|not\b")


class QuerySyntaxError(ValueError):
    """An expression that does not follow the grammar; `position` counts characters from 0."""

    def __init__(self, problem: str, position: int, expression: str) -> None:
        super().__init__(f"{problem} at position {position} of {expression!r}")
        self.problem = problem
        self.position = position


class InstanceFacts(msgspec.Struct, frozen=True, gc=False):
    """What an expression can ask about an instance."""

    instance: ContainerInstance
    connected: bool
    running_tasks: int
    groups: frozenset[str]
    """Groups that have at least one task on the instance that is not STOPPED."""


Version = tuple[int, ...]
Argument = str | int | float | Version | frozenset[str] | re.Pattern[str] | None


class Comparison(msgspec.Struct, frozen=True):
    """`subject operator argument`. The argument is of the subject's type; None for `exists`."""

    subject: str
    attribute: str
    """The attribute's name if the subject is one."""
    operator: str
    argument: Argument


class Not(msgspec.Struct, frozen=True):
    """True where `term` is false."""

    term: Expression


class And(msgspec.Struct, frozen=True):
    """True where all of `terms` are; of no terms, everywhere."""

    terms: tuple[Expression, ...]


class Or(msgspec.Struct, frozen=True):
    """True where one of `terms` is."""

    terms: tuple[Expression, ...]


Expression = Comparison | Not | And | Or

EVERYTHING = And(())
"""What an empty expression means."""


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """The expression that a text stands for; an empty one matches every instance.

    Raises:
        QuerySyntaxError: the text does not follow the grammar.
    """
    if len(text) > MAX_LENGTH:
        raise QuerySyntaxError(f"The expression is longer than {MAX_LENGTH} characters", MAX_LENGTH, text)
    return _Parser(text).parse()


def asks_for_groups(expression: Expression) -> bool:
    """Whether an expression looks at `task:group`, which takes effort to find out."""
    if isinstance(expression, Comparison):
        return expression.subject == "task:group"
    if isinstance(expression, Not):
        return asks_for_groups(expression.term)
    return any(asks_for_groups(term) for term in expression.terms)


def matches(expression: Expression, facts: InstanceFacts) -> bool:
    """Whether an instance is among those that an expression describes."""
    if isinstance(expression, And):
        return all(matches(term, facts) for term in expression.terms)
    if isinstance(expression, Or):
        return any(matches(term, facts) for term in expression.terms)
    if isinstance(expression, Not):
        return not matches(expression.term, facts)
    return _compare(expression, facts)


def _compare(comparison: Comparison, facts: InstanceFacts) -> bool:
    operator = comparison.operator
    if operator in ("exists", "!exists"):
        exists = any(attribute.name == comparison.attribute for attribute in facts.instance.attributes)
        return exists is (operator == "exists")
    if operator in ("!=", "!in", "!~"):
        positive = {"!=": "==", "!in": "in", "!~": "=~"}[operator]
        return not any(_holds(value, positive, comparison.argument) for value in _values(comparison, facts))
    return any(_holds(value, operator, comparison.argument) for value in _values(comparison, facts))


def _values(comparison: Comparison, facts: InstanceFacts) -> list[Argument]:
    """What the instance has for the subject: nothing, one value, or, of groups, several."""
    match comparison.subject:
        case "agentConnected":
            return ["true" if facts.connected else "false"]
        case "agentVersion":
            version = _version(facts.instance.agent_version)
            return [] if version is None else [version]
        case "ec2InstanceId":
            return [facts.instance.ec2_instance_id]
        case "registeredAt":
            return [float(int(facts.instance.registered_at))]
        case "runningTasksCount":
            return [facts.running_tasks]
        case "task:group":
            return list(facts.groups)
    return [
        attribute.value or ""
        for attribute in facts.instance.attributes
        if attribute.name == comparison.attribute
    ]


def _holds(value: Argument, operator: str, argument: Argument) -> bool:
    if isinstance(argument, re.Pattern):
        return argument.fullmatch(str(value)) is not None
    if isinstance(argument, frozenset):
        return value in argument
    if operator == "==":
        return value == argument
    # Parsing gives numbers and versions only to subjects whose values are numbers and versions.
    match operator:
        case ">":
            return value > argument  # type: ignore[operator]
        case ">=":
            return value >= argument  # type: ignore[operator]
        case "<":
            return value < argument  # type: ignore[operator]
    return value <= argument  # type: ignore[operator]


def _version(text: str) -> Version | None:
    found = re.match(r"v?(\d+(?:\.\d+)*)", text)
    if not found:
        return None
    numbers = [int(number) for number in found[1].split(".")]
    while len(numbers) > 1 and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


class _Parser:
    """Recursive descent over the text; a method a production."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._skip_space()

    def parse(self) -> Expression:
        if not self._text.strip():
            return EVERYTHING
        expression = self._or()
        if self._at < len(self._text):
            raise self._error("Expected 'and', 'or' or the end")
        return expression

    def _or(self) -> Expression:
        terms = [self._and()]
        while self._take(_OR):
            terms.append(self._and())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _and(self) -> Expression:
        terms = [self._unary()]
        while self._take(_AND):
            terms.append(self._unary())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _unary(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"More than {MAX_DEPTH} parentheses and negations inside each other")
        try:
            if self._take(_NOT):
                return Not(self._unary())
            if self._text.startswith("(", self._at):
                self._advance(1)
                expression = self._or()
                self._expect(")")
                return expression
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Comparison:
        start = self._at
        subject = self._take(_SUBJECT)
        if subject is None:
            raise self._error("Expected a subject such as attribute:NAME")
        attribute = subject.removeprefix(ATTRIBUTE_PREFIX) if subject.startswith(ATTRIBUTE_PREFIX) else ""
        allowed = _OPERATORS_OF_ATTRIBUTES if attribute else _OPERATORS_OF.get(subject)
        if allowed is None:
            raise self._error(f"Unknown subject {subject!r}", start)
        operator = self._operator(subject, allowed)
        if operator in ("exists", "!exists"):
            return Comparison(subject, attribute, operator, None)
        return Comparison(subject, attribute, operator, self._argument(subject, operator))

    def _operator(self, subject: str, allowed: frozenset[str]) -> str:
        start = self._at
        word = self._take(_OPERATOR)
        operator = _OPERATORS.get(word or "")
        if operator is None:
            raise self._error("Expected an operator such as ==, in or =~", start)
        if operator not in allowed:
            raise self._error(f"{subject} cannot be compared with {word}", start)
        return operator

    def _argument(self, subject: str, operator: str) -> Argument:
        start = self._at
        if operator in ("in", "!in"):
            return frozenset(self._list())
        if operator in ("=~", "!~"):
            try:
                return compile_pattern(self._pattern_literal())
            except UnsafePattern as problem:
                raise self._error(str(problem).capitalize(), start) from problem
        literal = self._literal()
        try:
            return _typed(subject, literal)
        except ValueError as problem:
            raise self._error(str(problem), start) from problem

    def _list(self) -> list[str]:
        if not self._text.startswith("[", self._at):
            return [self._literal()]
        self._advance(1)
        literals = [self._literal()]
        while self._text.startswith(",", self._at):
            self._advance(1)
            literals.append(self._literal())
        self._expect("]")
        return literals

    def _literal(self) -> str:
        quoted = _QUOTED.match(self._text, self._at)
        if quoted:
            self._advance(len(quoted[0]))
            return quoted[0][1:-1]
        bare = self._take(_BARE)
        if bare is None:
            raise self._error("Expected a value")
        return bare

    def _pattern_literal(self) -> str:
        """A quoted pattern, or a bare one up to white space or a parenthesis that it did not open itself."""
        bare = _BARE_PATTERN.match(self._text, self._at)
        if not bare:
            return self._literal()
        depth = 0
        for length, character in enumerate(bare[0]):
            depth += (character == "(") - (character == ")")
            if depth < 0:
                self._advance(length)
                return bare[0][:length]
        self._advance(len(bare[0]))
        return bare[0]

    def _take(self, token: re.Pattern[str]) -> str | None:
        found = token.match(self._text, self._at)
        if not found:
            return None
        self._advance(len(found[0]))
        return found[0]

    def _expect(self, character: str) -> None:
        if not self._text.startswith(character, self._at):
            raise self._error(f"Expected {character!r}")
        self._advance(1)

    def _advance(self, length: int) -> None:
        self._at += length
        self._skip_space()

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        if space:
            self._at = space.end()

    def _error(self, problem: str, position: int | None = None) -> QuerySyntaxError:
        return QuerySyntaxError(problem, self._at if position is None else position, self._text)


def _typed(subject: str, literal: str) -> Argument:
    """A literal as what its subject is compared with; a ValueError says what was expected."""
    match subject:
        case "runningTasksCount":
            if not re.fullmatch(r"\d{1,9}", literal):
                raise ValueError(f"{literal!r} is not a whole number")
            return int(literal)
        case "registeredAt":
            return _timestamp(literal)
        case "agentVersion":
            version = _version(literal)
            if version is None:
                raise ValueError(f"{literal!r} is not a version such as 1.20.0")
            return version
    return literal


def _timestamp(literal: str) -> float:
    try:
        moment = datetime.fromisoformat(literal)
    except ValueError as error:
        raise ValueError(f"{literal!r} is not a time such as 2018-06-18T22:28:28+00:00") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return float(int(moment.timestamp()))
