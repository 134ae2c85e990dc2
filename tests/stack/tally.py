"""What was accepted, and what became of it, step by step."""
import collections
import contextlib
import time

from stack import containers, eventually, number, push, redis, require, run, say, sim, sql


class Tally:
    """Clicks by the sub-ids that shoppers were given, mails by their event keys and by what the provider received."""

    def __init__(self, shoppers, mails):
        self.shoppers, self.make = shoppers, mails
        self.pushed, self.seen, self.last = 0, 0, 0
        self.received = collections.Counter()
        self.rows = []

    def push(self, count):
        push("email", self.make(self.pushed, count))
        self.pushed += count

    def burst(self):
        """More than a thousand mails wait for some seconds, so that a scaler sees them: their provider takes its time at first."""
        sim("/_sim/faults", {"provider": "sendgrid", "fault": "latency", "ms": 1000, "times": 1000})
        self.push(2500)

    def decided(self):
        """Mails that are decided: taken by the provider, or asked for when the process was killed, so that nobody knows."""
        return number("SELECT count(*) FROM notifications WHERE event_key LIKE 'load:%' AND (sent_at IS NOT NULL OR status = 'unknown')")

    def unknown(self):
        return number("SELECT count(*) FROM notifications WHERE event_key LIKE 'load:%' AND status = 'unknown'")

    def all_mails(self, limit=300):
        # The inbox is read on the way: a mail is big, and thousands at once take their time.
        eventually("all mails", lambda: self.arrived() is not None and self.decided() == self.pushed, limit)

    def recorded(self):
        return set(sql("SELECT external_click_id FROM affiliate_clicks WHERE user_id IS NULL").split())

    def arrived(self):
        """Reads what the provider received since the last look."""
        for message in sim(f"/_sim/inbox.json?channel=email&after={self.last}")["messages"]:
            self.last = max(self.last, message["id"])
            if message["to"].startswith("load"):
                self.received[message["to"]] += 1
        return self.received

    @contextlib.contextmanager
    def step(self, name):
        """Counts what is accepted within, and waits until all of it is done."""
        begin, pushed, clicked, refused = time.monotonic(), self.pushed, len(self.shoppers.sent), len(self.shoppers.refused)
        undecided = self.unknown()
        yield
        self.all_mails()
        accepted = self.shoppers.sent[clicked:]
        with contextlib.suppress(SystemExit):
            eventually("all clicks", lambda: set(accepted) <= self.recorded(), 120)
        lost = set(accepted) - self.recorded()
        seconds = time.monotonic() - begin
        received = self.arrived()
        unknown = self.unknown() - undecided
        mails = [f"load{n}@example.in" for n in range(pushed, self.pushed)]
        missing = sum(1 for to in mails if not received[to])
        doubled = sum(count - 1 for count in received.values() if count > 1)
        self.rows.append((name, len(accepted), len(self.shoppers.refused) - refused, len(lost), len(mails), len(mails) - missing, unknown, doubled, seconds))
        say(f"{name}: {len(accepted)} clicks, {len(lost)} lost; {len(mails)} mails, {missing} not received, {unknown} in doubt, {doubled} doubled; {seconds:.0f} s")
        require(not lost, f"{name}: clicks that were answered are not recorded: {sorted(lost)[:5]}")
        require(doubled == 0, f"{name}: {doubled} mails came twice")
        # Nobody knows of what a killed process had asked for; it is told, not sent again.
        require(missing <= unknown, f"{name}: {missing} mails did not come, {unknown} are in doubt")

    def nothing_is_left(self):
        """No job waits or is dead, wallets add up, and the ledger's chain holds."""
        dead = sum(int(redis("HLEN", f"{{queue:{queue}}}:dead") or 0) for queue in ("clicks", "email", "sms", "cashback", "payments", "receipts"))
        waiting = sum(int(redis("LLEN", f"queue:{queue}") or 0) for queue in ("clicks", "email", "sms", "cashback", "payments"))
        require(dead == 0, f"{dead} dead letters")
        require(waiting == 0, f"{waiting} jobs wait")
        # EMAIL_CONCURRENCY, and an eighth more that stand ready (ADR 40).
        require(self.unknown() <= 72, f"{self.unknown()} mails of which nobody knows, more than the one that was killed can have claimed")
        extra = len(self.recorded()) - len(set(self.shoppers.sent))
        require(0 <= extra <= len(self.shoppers.refused), f"{extra} clicks are recorded that nobody was answered, {len(self.shoppers.refused)} were not answered")
        drift = number(
            "SELECT count(*) FROM wallet_balances b WHERE balance_paise <> (SELECT coalesce(sum(CASE WHEN credit_account = b.account_id THEN amount_paise"
            " ELSE -amount_paise END), 0) FROM wallet_transactions WHERE b.account_id IN (credit_account, debit_account))"
        )
        require(drift == 0, f"{drift} wallets do not add up")
        run("docker", "exec", containers("admin")[0], "/service", "ledger", "verify")

    def table(self):
        heads = ("step", "clicks", "refused", "lost", "mails", "received", "in doubt", "doubled", "seconds")
        rows = [heads] + [tuple(f"{cell:.0f}" if isinstance(cell, float) else str(cell) for cell in row) for row in self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
        for row in rows:
            print("  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(zip(row, widths))), flush=True)
