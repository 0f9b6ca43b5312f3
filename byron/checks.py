"""System checks: what is wrong with a project before it runs, and what to do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections

from byron.api.identity.authentication import require_pyjwt
from byron.broker.access import configured_access
from byron.broker.addresses import address_problem
from byron.cache.places import place_of
from byron.commands.functions import COMMANDS, HANDLERS, HOOKS, load_function, signature_misfit
from byron.conf import PREFIX, ByronSettings, byron_settings, senseless_numbers
from byron.exceptions import ContractError, KeysUnavailableError, MissingExtraError
from byron.schema.installed import ComponentConfig, installed_components
from byron.schema.names import ANYONE
from byron.schema.reads import VERSION, function_arguments

TAG = "byron"
#: Seconds; clocks that differ more are to be set right.
_LONGEST_LEEWAY = 300
_SECURITY = "django.middleware.security.SecurityMiddleware"
_ROUTER = "byron.cache.routers.CacheRouter"

#: Whether the command `check` asks. What is as it should be while a project is made is told there alone.
asked: ContextVar[bool] = ContextVar("asked", default=False)


@register(TAG)
def check_broker(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The broker's address must be one; outside DEBUG, it must be given."""
    given = byron_settings().broker_url
    problem = address_problem(given) if given else ""
    if problem:
        hint = "Write nats://user:password@broker:4222, or tls://, ws:// or wss://; several with commas between them."
        return [Error(f"BYRON_BROKER_URL {problem}.", hint=hint, id="byron.E019")]
    if given or settings.DEBUG or not installed_components():
        return []
    return [
        Error(
            "BYRON_BROKER_URL is not set.",
            hint="Set it to your NATS server's address, such as nats://user:password@broker:4222. "
            "Only under DEBUG does Byron start a broker by itself.",
            id="byron.E001",
        )
    ]


@register(TAG)
def check_numbers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Settings that are numbers must make sense."""
    return [
        Error(problem, hint="Leave it out for the default.", id="byron.E018")
        for problem in senseless_numbers(byron_settings())
    ]


@register(TAG)
def check_broker_access(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The broker's credentials must be usable, and schema.yaml say what they are to allow."""
    if not byron_settings().broker_url:
        return []
    try:
        configured_access()
    except ImproperlyConfigured as error:
        hint = "Give this process the file of its role that `byron infrastructure config` wrote, and others no access."
        return [Error(str(error), hint=hint, id="byron.E015")]
    if not byron_settings().broker_credentials:
        return []
    return [
        Warning(
            f"The broker will refuse what these mutations of {config.label} emit: "
            f"{', '.join(config.component.silent_mutations)}.",
            hint="Say so under `emits:` in schema.yaml (`[]` for nothing), then run `byron infrastructure config`.",
            id="byron.W004",
        )
        for config in installed_components()
        if not config.schema_problems and config.component.silent_mutations
    ]


@register(TAG)
def check_authentication(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Tokens must be checkable, each mutation say who may use it, and roles mean something."""
    components = [config for config in installed_components() if not config.schema_problems]
    if not byron_settings().jwt_keys:
        return list(_roles_without_tokens(components)) if asked.get() else []
    return [*_tokens(byron_settings()), *_open_mutations(components)]


def _tokens(given: ByronSettings) -> Iterator[CheckMessage]:
    """Check the BYRON_JWT_* settings. An address of keys is not asked here: it may be away for a while."""
    for name, claim in (("BYRON_JWT_AUDIENCE", "aud"), ("BYRON_JWT_ISSUER", "iss")):
        if not getattr(given, name.removeprefix(PREFIX).lower()):
            hint = f"Set it to the {claim} of your tokens. Without it, tokens made for others would be accepted."
            yield Error(f"BYRON_JWT_KEYS is set, but {name} is not.", hint=hint, id="byron.E009")
    if isinstance(given.jwt_leeway, bool) or not 0 <= given.jwt_leeway <= _LONGEST_LEEWAY:
        hint = f"Set it to seconds from 0 to {_LONGEST_LEEWAY}: it lets expired tokens live on."
        yield Error(f"BYRON_JWT_LEEWAY is {given.jwt_leeway!r}.", hint=hint, id="byron.E010")
    try:
        require_pyjwt()
    except MissingExtraError as error:
        yield Error(str(error), hint="Install it, or empty BYRON_JWT_KEYS.", id="byron.E011")
        return
    # Late: the extra may be missing.
    jwks, sources = import_module("byron.api.identity.jwks"), import_module("byron.api.identity.key_sources")
    problem = _algorithms_problem(given.jwt_algorithms, jwks.ALGORITHMS)
    if problem:
        hint = f"List some of {', '.join(jwks.ALGORITHMS)}. Unsigned tokens (none) are never accepted."
        yield Error(f"BYRON_JWT_ALGORITHMS {problem}.", hint=hint, id="byron.E012")
        return
    try:
        source = sources.key_source(given.jwt_keys, given.jwt_algorithms)
        if "://" not in given.jwt_keys and not source.current().keys:
            raise KeysUnavailableError(f"{given.jwt_keys} holds no key for {', '.join(given.jwt_algorithms)}")
    except KeysUnavailableError as error:
        hint = "Set BYRON_JWT_KEYS to the path of a JWKS file, or to the https:// address of one."
        yield Error(f"Tokens cannot be checked: {str(error).rstrip('.')}.", hint=hint, id="byron.E013")


def _algorithms_problem(given: Sequence[str], known: Sequence[str]) -> str:
    if isinstance(given, str):
        return "is a text, and no list"
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        return f"lists {', '.join(unknown)}, which is not allowed"
    return "" if given else "is empty"


def _open_mutations(components: Sequence[ComponentConfig]) -> Iterator[CheckMessage]:
    for config in components:
        for command in config.component.content.commands:
            if command.type == "mutation" and command.roles is None:
                hint = (
                    "List its roles: in schema.yaml, or [authenticated] for any valid token, or [anyone] to keep it so."
                )
                yield Warning(
                    f"The mutation {command.name} of {config.label} is open to everyone.", hint=hint, id="byron.W002"
                )


def _roles_without_tokens(components: Sequence[ComponentConfig]) -> Iterator[CheckMessage]:
    for config in components:
        closed = [c.name for c in config.component.content.commands if c.roles is not None and ANYONE not in c.roles]
        if closed:
            yield Warning(
                f"Nobody can use these commands of {config.label}: {', '.join(closed)}.",
                hint="They have roles: in schema.yaml, but no tokens are looked at. Set BYRON_JWT_KEYS.",
                id="byron.W003",
            )


@register(TAG, deploy=True)
def check_redirects(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Redirects to https need somebody's word that a request came by it."""
    if not settings.SECURE_SSL_REDIRECT or settings.SECURE_PROXY_SSL_HEADER or _SECURITY not in settings.MIDDLEWARE:
        return []
    return [
        Warning(
            "SECURE_SSL_REDIRECT is on, and SECURE_PROXY_SSL_HEADER is not set: where TLS ends at a proxy, every "
            "request is redirected to where it came from, without end.",
            hint="Set SECURE_PROXY_SSL_HEADER, in a generated project by TRUST_PROXY=true, if the proxy always "
            "replaces that header; or leave the redirects to the proxy. Silence this where the server itself speaks "
            "TLS.",
            id="byron.W005",
        )
    ]


@register(TAG, deploy=True)
def check_graphiql(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Outside DEBUG, GraphiQL's page needs somebody who serves its files."""
    if settings.DEBUG or not byron_settings().graphiql_enabled or _static_files_are_served():
        return []
    return [
        Warning(
            f"GraphiQL is on, and nobody serves its files below {settings.STATIC_URL}: its page stays blank.",
            hint="Only under DEBUG does Byron serve them. Set STATIC_ROOT, run `manage.py collectstatic`, and have "
            "your proxy serve that folder; or turn BYRON_API_GRAPHIQL off.",
            id="byron.W006",
        )
    ]


def _static_files_are_served() -> bool:
    """Whether there is a sign that files are served: a place to collect them, another site, or a middleware."""
    elsewhere = "//" in (settings.STATIC_URL or "")
    serving = any("static" in name.lower() or "whitenoise" in name.lower() for name in settings.MIDDLEWARE)
    return bool(settings.STATIC_ROOT) or elsewhere or serving


@register(TAG)
def check_components(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Each component's schema must be valid, its Cache configured, its functions there."""
    components = installed_components()
    messages = [message for config in components for message in _component(config)]
    messages += _repeated(components)
    messages += _shared_caches(components)
    if components and _ROUTER not in settings.DATABASE_ROUTERS:
        hint = f'Add "{_ROUTER}" to DATABASE_ROUTERS.'
        messages.append(Error("Nothing keeps components to their own Caches.", hint=hint, id="byron.E003"))
    return messages


@register(TAG, Tags.database)
def check_transactions(
    app_configs: Sequence[AppConfig] | None, databases: Collection[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """A Cache on MongoDB must be at a server that has transactions. Asked where databases are: by `migrate`, say."""
    return [
        message
        for config in installed_components()
        if config.alias in (databases or ()) and connections[config.alias].vendor == "mongodb"
        for message in _transactions(config.alias)
    ]


def _transactions(alias: str) -> Iterator[CheckMessage]:
    connection: Any = connections[alias]
    try:
        connection.ensure_connection()
        if connection.has_transactions():
            return
    except DatabaseError:
        # It is away, which whatever needs it will say.
        return
    yield Error(
        f"The MongoDB server of the Cache {alias} stands alone, so it has no transactions, and its Sink cannot work.",
        hint="Start mongod with --replSet rs0, and run rs.initiate() once: one member is enough.",
        id="byron.E016",
    )


def _component(config: ComponentConfig) -> Iterator[CheckMessage]:
    if config.alias not in settings.DATABASES:
        yield Error(
            f"The component {config.label} has no Cache.",
            hint=f'Add "{config.alias}" to DATABASES; byron.project.cache_databases() does it for every component.',
            id="byron.E002",
        )
    if config.schema_problems:
        hint = f"Mend it, then run `manage.py generate`:\n{config.schema_problems}"
        yield Error(f"The schema of {config.label} cannot be used.", hint=hint, id="byron.E004")
        return
    yield from _models(config)
    yield from function_problems(config)
    if not config.component.content.handlers:
        yield Warning(
            f"The component {config.label} handles no events, so its Cache stays empty.",
            hint="Declare its handlers in schema.yaml.",
            id="byron.W001",
        )


def _models(config: ComponentConfig) -> Iterator[CheckMessage]:
    """Find models that were not generated anew after a change of schema.yaml."""
    for kind in config.component.content.types:
        declared = {"id", *(attribute.python_name for attribute in kind.attributes)}
        if kind.name in config.component.versioned:
            declared.add(VERSION)
        try:
            model = config.get_model(kind.name)
        except LookupError:
            stale = f"there is no model {kind.name}"
        else:
            differing = declared ^ {field.name for field in model._meta.concrete_fields}
            stale = f"{kind.name} differs in {', '.join(sorted(differing))}" if differing else ""
        if stale:
            yield Error(
                f"models.py of {config.label} is not that of its schema.yaml: {stale}.",
                hint="Run `manage.py generate`, then `manage.py migrate`; or `byron component build`, which does both.",
                id="byron.E014",
            )


def function_problems(config: ComponentConfig) -> Iterator[CheckMessage]:
    """Check that every function of a component is there and takes what it will be given."""
    component, content = config.component, config.component.content
    for command in content.commands:
        if not command.is_declared:
            names = function_arguments(component, command)
            yield from _function(config, COMMANDS, command.name, 1, names)
    for handler in content.handlers:
        if handler.apply is None:
            yield from _function(config, HANDLERS, handler.name, 2)
    hooks = [owner.hooks for owner in content.commands] + [owner.hooks for owner in content.handlers]
    for name in dict.fromkeys(name for each in hooks for name in (*each.before, *each.after)):
        yield from _function(config, HOOKS, name, 2)


def _function(
    config: ComponentConfig, folder: str, name: str, positional: int, names: Sequence[str] = ()
) -> Iterator[CheckMessage]:
    try:
        function = load_function(config, folder, name)
    except ContractError as error:
        hint = "Define it there; where the file itself is missing, `manage.py generate` writes a first version."
        yield Error(str(error), hint=hint, id="byron.E005")
        return
    except Exception as error:  # whatever the developer's file does when it is imported
        problem = f"{name} of {config.label} cannot be imported: {type(error).__name__}: {error}."
        yield Error(problem, hint="Mend its file, or what it imports.", id="byron.E008")
        return
    misfit = signature_misfit(function, positional, names)
    if misfit:
        given = ", ".join(["ctx", *(["its event or value"] if positional == 2 else []), *names])
        yield Error(
            f"{name} of {config.label} cannot be called as schema.yaml declares it: {misfit}.",
            hint=f"The function is given: {given}.",
            id="byron.E006",
        )


def _repeated(components: Sequence[ComponentConfig]) -> Iterator[CheckMessage]:
    """Find components that the event log cannot tell apart."""
    seen: dict[tuple[str, str], str] = {}
    for config in components:
        if config.schema_problems:
            continue
        identity = (config.component.namespace.lower(), config.consumer_name)
        first = seen.setdefault(identity, config.label)
        if first != config.label:
            yield Error(
                f"{first} and {config.label} are both the component {config.component.name} of "
                f"{config.component.namespace}.",
                hint=f"Give {config.label} a name of its own in its schema.yaml.",
                id="byron.E007",
            )


def _shared_caches(components: Sequence[ComponentConfig]) -> Iterator[CheckMessage]:
    """Find components whose Caches are one: what is migrated for the first counts as migrated for the other."""
    seen: dict[str, str] = {}
    for config in components:
        place = place_of(connections.settings[config.alias]) if config.alias in settings.DATABASES else None
        first = config.label if place is None else seen.setdefault(place, config.label)
        if first != config.label:
            yield Error(
                f"{first} and {config.label} have one Cache, {place}: the tables of one of them would never be made.",
                hint=f"Give {config.label} a database of its own by {config.label.upper()}_CACHE_URL, or on PostgreSQL "
                f"a schema: ?options=-csearch_path%3D{config.label} at its end.",
                id="byron.E017",
            )
