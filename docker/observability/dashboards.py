#!/usr/bin/env python3
"""Writes the dashboards to grafana/dashboards/: `python3 docker/observability/dashboards.py`. check-deploy sees that they are current."""
import json
import sys
from pathlib import Path

SOURCE = {"type": "prometheus", "uid": "prometheus"}


def panel(title, *queries, unit="short", kind="timeseries", width=8, height=8):
    """A query is (expression, legend)."""
    targets = [{"datasource": SOURCE, "refId": chr(65 + i), "expr": e, "legendFormat": l} for i, (e, l) in enumerate(queries)]
    defaults = {"unit": unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}} if kind == "timeseries" else {"unit": unit}
    options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    if kind == "stat":
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "textMode": "value_and_name"}
    return {"title": title, "type": kind, "datasource": SOURCE, "targets": targets, "options": options,
            "fieldConfig": {"defaults": defaults, "overrides": []}, "width": width, "height": height}


def logs(title, query):
    source = {"type": "loki", "uid": "loki"}
    return {"title": title, "type": "logs", "datasource": source, "targets": [{"datasource": source, "refId": "A", "expr": query}],
            "options": {"showTime": True, "wrapLogMessage": True, "enableLogDetails": True}, "width": 24, "height": 10}


def dashboard(name, title, panels):
    x = y = row = 0
    placed = []
    for number, one in enumerate(panels, 1):
        width, height = one.pop("width"), one.pop("height")
        if x + width > 24:
            x, y, row = 0, y + row, 0
        placed.append({"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": height}, **one})
        x, row = x + width, max(row, height)
    return name, {"uid": f"shop-{name}", "title": title, "tags": ["shop"], "timezone": "Asia/Kolkata", "schemaVersion": 41, "editable": False,
                  "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "panels": placed,
                  "links": [{"title": "Shop", "type": "dashboards", "tags": ["shop"], "asDropdown": True}]}


def quantile(q, metric, by, where=""):
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{where}[5m])))"


OVERVIEW = dashboard("overview", "Overview", [
    panel("Alerts", ('ALERTS{alertstate="firing"}', "{{alertname}} {{service}}{{queue}}{{network}}{{circuit}}"), kind="stat", width=12, height=5),
    panel("Workers", ("max by (service) (service_workers)", "{{service}}"), kind="stat", width=12, height=5),
    panel("Clicks a second, by class", ("sum by (class) (rate(clicks_recorded_total[5m]))", "{{class}}"), unit="ops"),
    panel("Webhooks a second, by verdict", ("sum by (source, verdict) (rate(webhooks_received_total[5m]))", "{{source}} {{verdict}}"), unit="ops"),
    panel("Messages a second, by outcome", ("sum by (channel, outcome) (rate(notifications_total[5m]))", "{{channel}} {{outcome}}"), unit="ops"),
    panel("Jobs a second, by queue", ("sum by (queue) (rate(jobs_processed_total[5m]))", "{{queue}}"), unit="ops"),
    panel("Oldest job", ("max by (queue) (queue_oldest_age_seconds)", "{{queue}}"), unit="s"),
    panel("Runs of cron", ("sum by (job, outcome) (increase(cron_runs_total[1h]))", "{{job}} {{outcome}}")),
    panel("CPU", ("sum by (service, instance) (rate(process_cpu_seconds_total[5m]))", "{{service}} {{instance}}"), unit="percentunit"),
    panel("Memory", ("process_resident_memory_bytes", "{{service}} {{instance}}"), unit="bytes"),
    panel("Files and threads", ("process_open_fds", "files {{service}} {{instance}}"), ("process_threads", "threads {{service}} {{instance}}")),
    panel("Connections to Postgres", ('sum by (service, state) (postgres_connections{state!="most"})', "{{service}} {{state}}")),
    panel("Calls to providers, by outcome", ("sum by (provider, outcome) (rate(provider_calls_total[5m]))", "{{provider}} {{outcome}}"), unit="ops"),
    panel("Circuits", ("max by (circuit) (circuit_open)", "{{circuit}}")),
    panel("Runs out in", ("min by (file) (certificate_expires_seconds)", "{{file}}"), ("min by (token) (api_token_expires_seconds)", "{{token}}"), unit="s", kind="stat", width=24, height=4),
    logs("Errors", '{level=~"ERROR|WARN"}'),
])

QUEUES = dashboard("queues", "Queues", [
    panel("Waiting", ('max by (queue, state) (queue_jobs{state=~"waiting|urgent|delayed|suspects"})', "{{queue}} {{state}}"), width=12),
    panel("In hand", ('max by (queue) (queue_jobs{state="in_flight"})', "{{queue}}"), width=12),
    panel("Oldest job", ("max by (queue) (queue_oldest_age_seconds)", "{{queue}}"), unit="s"),
    panel("Dead letters", ('max by (queue) (queue_jobs{state="dead"})', "{{queue}}")),
    panel("Not accounted for", ("max by (queue) (queue_unaccounted_jobs)", "{{queue}}")),
    panel("Outcomes a second, by kind", ("sum by (kind, outcome) (rate(jobs_processed_total[5m]))", "{{kind}} {{outcome}}"), unit="ops", width=12),
    panel("Time at work, by kind", ("sum by (kind) (rate(jobs_run_seconds_total[5m]))", "{{kind}}"), unit="s", width=12),
    panel("Wait before the first start, 95 of 100", (quantile(0.95, "job_wait_seconds", "queue, kind"), "{{queue}} {{kind}}"), unit="s", width=12),
    panel("Run, 95 of 100", (quantile(0.95, "job_run_seconds", "queue, kind"), "{{queue}} {{kind}}"), unit="s", width=12),
    panel("Promised and not pushed", ("max by (place) (unpushed_jobs)", "{{place}}")),
    panel("Oldest promise", ("max by (place) (unpushed_age_seconds)", "{{place}}"), unit="s"),
    panel("Pushed from the outbox", ("sum by (queue) (rate(outbox_relayed_total[5m]))", "{{queue}}"), unit="ops"),
    panel("Paused", ("max by (queue) (queue_paused)", "{{queue}}")),
    panel("Cron overdue", ("max by (job) (expected_run_overdue_seconds)", "{{job}}"), unit="s"),
    panel("Runs of cron, 95 of 100", (quantile(0.95, "cron_run_seconds", "job"), "{{job}}"), unit="s"),
])

MONEY = dashboard("money", "Money", [
    panel("Wallets that drift", ("max(wallets_drifting)", "wallets"), kind="stat"),
    panel("Ledger rows without a seal", ("max(ledger_unsealed_rows)", "rows"), ("max(ledger_unsealed_age_seconds)", "oldest, s"), kind="stat"),
    panel("Unmatched transactions", ("max(transactions_unmatched)", "open"), kind="stat"),
    panel("Read up to, ago", ("max by (network) (network_sync_age_seconds)", "{{network}}"), unit="s"),
    panel("Rows of networks, by outcome", ("sum by (network, outcome) (rate(network_rows_total[15m]))", "{{network}} {{outcome}}"), unit="ops"),
    panel("Pulls, by outcome", ('sum by (outcome) (increase(jobs_processed_total{kind="cashback.sync"}[1h]))', "{{outcome}}")),
    panel("Last week's transactions, by whether they have their click", ("max by (matched) (transactions_recent)", "{{matched}}")),
    panel("Share without a click", ('max(transactions_recent{matched="false"}) / (max(transactions_recent{matched="false"}) + max(transactions_recent{matched="true"}))', "share"), unit="percentunit"),
    panel("Payment events, by outcome", ('sum by (kind, outcome) (rate(jobs_processed_total{queue="payments"}[5m]))', "{{kind}} {{outcome}}"), unit="ops"),
    panel("Clicks, by where they are safe", ("sum by (outcome) (rate(clicks_shipped_total[5m]))", "{{outcome}}"), unit="ops"),
    panel("Clicks written to Postgres", ("sum(rate(clicks_written_total[5m]))", "clicks"), unit="ops"),
    panel("Spool", ("sum(clicks_spool_records)", "clicks"), ("sum(clicks_spool_bytes)", "bytes")),
])

HTTP = dashboard("http", "HTTP", [
    panel("Requests a second, by route", ("sum by (service, route) (rate(http_request_duration_seconds_count[5m]))", "{{service}} {{route}}"), unit="reqps", width=12),
    panel("Answers a second, by class", ("sum by (service, status) (rate(http_request_duration_seconds_count[5m]))", "{{service}} {{status}}"), unit="reqps", width=12),
    panel("Share of 5xx", ('sum by (service) (rate(http_request_duration_seconds_count{status="5xx"}[5m])) / sum by (service) (rate(http_request_duration_seconds_count[5m]))', "{{service}}"), unit="percentunit"),
    panel("Half of the answers within", (quantile(0.5, "http_request_duration_seconds", "service, route"), "{{service}} {{route}}"), unit="s"),
    panel("99 of 100 within", (quantile(0.99, "http_request_duration_seconds", "service, route"), "{{service}} {{route}}"), unit="s"),
    panel("Redirects, by time", ('sum by (le) (increase(http_request_duration_seconds_bucket{route="/out/{offer_id}"}[5m]))', "{{le}}")),
    panel("Redirects refused, by reason", ("sum by (reason) (rate(redirects_refused_total[5m]))", "{{reason}}"), unit="ops"),
    panel("Offers found, by tier", ("sum by (tier) (rate(offers_resolved_total[5m]))", "{{tier}}"), unit="ops"),
    panel("Calls to providers, 95 of 100", (quantile(0.95, "provider_call_seconds", "provider"), "{{provider}}"), unit="s"),
])

target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "grafana/dashboards")
target.mkdir(parents=True, exist_ok=True)
for name, content in [OVERVIEW, QUEUES, MONEY, HTTP]:
    (target / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
