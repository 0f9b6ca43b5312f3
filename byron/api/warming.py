"""What a process's first requests would wait for, done before there are any."""

from __future__ import annotations

import logging

from django.core.exceptions import ImproperlyConfigured

from byron.api.identity.authentication import prepare_authentication
from byron.api.urls import services
from byron.broker.connection import broker_for
from byron.broker.patience import answers_within
from byron.conf import byron_settings
from byron.exceptions import BrokerError, KeysUnavailableError

log = logging.getLogger("byron.api")


def warm_up() -> None:
    """Answer a query of each component, connect to each broker, and fetch the keys of tokens.

    What these need is imported and made. A broker that is away is no error, since queries do without, nor are keys that
    cannot be had, since not everybody sends a token. Brokers are waited for as long as a mutation would, all together;
    keys for some seconds.
    """
    for service in services.values():
        service.execute("{ __typename }")
    with answers_within(byron_settings().publish_timeout):
        for namespace in sorted({service.config.component.namespace for service in services.values()}):
            try:
                broker_for(namespace).ensure_log()
            except (BrokerError, ImproperlyConfigured) as error:
                log.warning("starting without the broker namespace=%s error=%s", namespace, error)
    try:
        prepare_authentication()
    except KeysUnavailableError as error:
        log.warning("starting without the keys of tokens error=%s", error)
