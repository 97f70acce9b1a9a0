"""The queue's side of alerts: takes what the alert actor found, says what it is to do next."""

from typing import Any

from taskqueue_ray.core import commands
from taskqueue_ray.core.alerting import view
from taskqueue_ray.core.alerts import AlertsView, Report
from taskqueue_ray.core.builtin_alerts import rules_in_force
from taskqueue_ray.core.errors import TaskQueueError
from taskqueue_ray.core.observation import Brief
from taskqueue_ray.engine.fleet import Respond
from taskqueue_ray.engine.observing import Observing
from taskqueue_ray.engine.writepath import WritePath

START_AFTER = 30.0
"""Seconds of serving after which a queue is watched. A script that ends sooner pays nothing."""

SILENCE = 30.0
"""Seconds without a report after which there is no alert actor any more, it seems."""

AlertCommand = commands.SetAlert | commands.DeleteAlert | commands.MuteAlert | commands.TestAlert


class Alerting:
    """Rules and notices are facts of the queue; who watches over them is not."""

    def __init__(self, path: WritePath, observing: Observing) -> None:
        self._path = path
        self._observing = observing
        self._opened_at = observing.opened_at = path.clock.now()
        self._asked = bool(path.state.alerts.rules or path.state.alerts.outbox)

    def carry_out(self, command: AlertCommand, respond: Respond) -> None:
        """Set, delete, mute or test a rule; answers with what the command says of itself."""
        try:
            reply: Any = self._path.execute(command)
        except TaskQueueError as refusal:
            self._path.refuse(respond, refusal)
            return
        self._asked = True
        self._path.commits.flush()
        self._path.answer(respond, reply)

    def round(self, report: Report, respond: Respond) -> None:
        """One round of the alert actor; answers with a `Brief`, all of it durable."""
        now = self._path.clock.now()
        self._observing.watched_at = now
        if report.verdicts or report.deliveries:
            self._path.execute(commands.JudgeAlerts(report))
            self._path.commits.flush()
        alerts = self._path.state.alerts
        rules = [rule for rule in rules_in_force(alerts).values() if rule.enabled]
        notices = list(alerts.outbox.values())
        self._path.answer(respond, Brief(rules, notices, self._observing.observe(now)))

    def view(self) -> AlertsView:
        """What can be seen of alerts."""
        return view(self._path.state.alerts)

    def needs_actor(self) -> bool:
        """Whether somebody should be there to watch, and nobody has been heard of for a while."""
        now = self._path.clock.now()
        if self._observing.watched_at is None:
            return self._asked or now - self._opened_at >= START_AFTER
        return now - self._observing.watched_at >= SILENCE
