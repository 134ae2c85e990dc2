"""What people and providers do with the shop, through its door."""
import http.client
import json
import random
import re
import threading
import time
import urllib.parse
import uuid

from stack import EDGE, RAZORPAY, ROOT, TOKEN, containers, eventually, fetch, number, require, run, say, session, sim, sql

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"


def direct_the_world():
    webhook = lambda path: f"http://edge:8080/webhooks/{path}"
    texts = {}
    for text in json.loads((ROOT / "services/notifier/templates/sms.json").read_text()):
        if text["lang"] == "en":
            count = iter(range(1, 20))
            body = re.sub(r"\{#[^#]*#\}", lambda _: f"##VAR{next(count)}##", text["body"].replace("<brand>", "Demo Cashback"))
            texts[f"flow-{text['template']}"] = body
    sim("/_sim/config", {
        "sendgrid_event_url": webhook("sendgrid"),
        "msg91_report_url": webhook(f"msg91/{TOKEN}"),
        "admitad_postback_url": webhook(f"admitad/{TOKEN}?order_id=[[[order_id]]]&admitad_id=[[[admitad_id]]]&subid=[[[subid]]]&payment_status=[[[payment_status]]]"),
        "razorpay_webhook_url": webhook("razorpay"),
        "razorpay_webhook_secret": RAZORPAY,
        "msg91_templates": texts,
    })


def click(offer, user=None, **more):
    """The sub-id when the shopper was sent on, else nothing."""
    headers = {"user-agent": BROWSER, **({"cookie": f"token={session(user)}"} if user else {}), **more}
    status, answer, _ = fetch(EDGE, f"/out/{offer}", headers=headers, timeout=10)
    found = re.search(r"[?&]subid=([^&]+)", answer.get("location") or "")
    return found[1] if status == 302 and found else None


def door():
    """nginx leads everybody to the right service, and tells it who it is that came, whatever that one says."""
    for path, wanted in (("/admin", (200, 303)), ("/api/v1/queue/stats", (401,)), ("/ws", (400, 401, 403, 404, 426)), ("/stats", (401, 404)), ("/webhooks/nobody", (404, 405)), ("/secrets", (404,))):
        status, headers, _ = fetch(EDGE, path)
        require(status in wanted, f"{path} answers {status}")
        require(headers["x-content-type-options"] == "nosniff", f"{path} has the security headers")
    require(fetch(EDGE, "/webhooks/razorpay", {"x": "y" * 1_100_000})[0] == 413, "a body that is too big ends at the edge")


def message(channel, words, to=""):
    query = urllib.parse.urlencode({"channel": channel, "contains": words, "to": to})
    found = lambda: (sim(f"/_sim/inbox.json?{query}")["messages"] or [None])[0]
    return eventually(f"{channel} with “{words}”", found)


def uuid7():
    value = (int(time.time() * 1000) << 80) | random.getrandbits(80)
    return str(uuid.UUID(int=(value & ~(0xF << 76) & ~(0x3 << 62)) | (7 << 76) | (2 << 62)))


def story(cast):
    """One shopper through the whole main job."""
    user, offer, product = cast["users"][0], cast["merchants"][0]["offers"][0], cast["products"][0]
    sub_id = click(offer, user["id"])
    require(sub_id, "a click is sent on")
    eventually("the click in Postgres", lambda: number(f"SELECT count(*) FROM affiliate_clicks WHERE user_id = '{user['id']}'") >= 1)
    say("click: 302 through nginx, in Postgres")
    for address in ("203.0.113.7", "198.51.100.9"):
        click(offer, user["id"], **{"x-forwarded-for": address, "forwarded": f"for={address}"})
    mine = f"FROM affiliate_clicks WHERE user_id = '{user['id']}'"
    eventually("three clicks", lambda: number(f"SELECT count(*) {mine}") == 3)
    require(number(f"SELECT count(DISTINCT client_hash) {mine}") == 1, "who says to be somebody else is still who came")
    made = sim("/_sim/transactions", {
        "network": "admitad", "sub_id": sub_id, "campaign_id": 10001, "order_id": f"OD-{random.randrange(10**8)}", "sale_amount": "2499.00",
        "commission": "200.00", "currency": "INR", "status": "pending", "postback": True,
    })
    eventually("pending cashback", lambda: number("SELECT count(*) FROM cashback_events WHERE status = 'pending'") == 1)
    message("email", "cashback tracked")
    say("commission pending: cashback, mail")
    sim(f"/_sim/transactions/admitad/{made['id']}", {"status": "approved", "postback": True})
    balance = f"SELECT balance_paise FROM wallet_balances WHERE user_id = '{user['id']}'"
    eventually("money in the wallet", lambda: number(balance) > 0)
    message("email", "is in your wallet")
    message("sms", "cashback from")
    say(f"approved: {number(balance) / 100} rupees in the wallet, mail, text")
    order = uuid7()
    total = number(
        f"INSERT INTO orders (id, user_id, total_paise, provider_order_id) SELECT '{order}', '{user['id']}', 2 * price_paise, 'order_stack1' FROM products WHERE id = '{product['id']}';"
        f"INSERT INTO order_items (id, order_id, product_id, quantity, unit_price_paise) SELECT '{uuid7()}', '{order}', id, 2, price_paise FROM products WHERE id = '{product['id']}';"
        f"SELECT total_paise FROM orders WHERE id = '{order}'"
    )
    sim("/_sim/payments", {"amount_paise": total, "order_id": "order_stack1", "email": user["email"]})
    codes = f"SELECT count(*) FROM voucher_codes JOIN order_items ON order_items.id = order_item_id WHERE order_id = '{order}'"
    eventually("the vouchers", lambda: number(codes) == 2)
    message("email", "order is confirmed")
    say("payment: two vouchers allocated, mail with codes")
    sql(f"SELECT request_withdrawal('{uuid7()}', '{user['id']}', 10000, 'fa_stack00000001', 'stack-1')")
    eventually("the withdrawal", lambda: number("SELECT count(*) FROM withdrawals WHERE processed_at IS NOT NULL") == 1)
    message("email", "is on its way")
    say("withdrawal: processed, mail")


class Clicks(threading.Thread):
    """Shoppers who click all the time, whatever happens inside."""

    def __init__(self, offers):
        super().__init__(daemon=True)
        self.offers, self.going, self.sent, self.refused = offers, True, [], []

    def run(self):
        while self.going:
            begin = time.monotonic()
            try:
                sub_id = click(random.choice(self.offers))
                (self.sent if sub_id else self.refused).append(sub_id or "no 302")
            except (OSError, http.client.HTTPException) as error:
                self.refused.append(repr(error))
            time.sleep(max(0, 0.03 - (time.monotonic() - begin)))

    def end(self):
        self.going = False
        self.join()


def opening():
    """The shop is filled, its door is tried, one shopper plays the whole main job, and others begin to click. Gives the cast and those others."""
    seeded = run("docker", "exec", containers("admin")[0], "/service", "seed", "--json", "--links-base", "http://provider-sim:8080")
    cast = json.loads(seeded[seeded.index("{") :])
    direct_the_world()
    door()
    story(cast)
    shoppers = Clicks([offer for merchant in cast["merchants"] if merchant["network"] == "admitad" for offer in merchant["offers"]])
    shoppers.start()
    return cast, shoppers


def mails(first, count):
    return [
        {"kind": "email.send", "payload": {"event_key": f"load:{n}", "to": f"load{n}@example.in", "message": {"template": "cashback_tracked", "merchant": "Demo", "amount": 100}}}
        for n in range(first, first + count)
    ]
