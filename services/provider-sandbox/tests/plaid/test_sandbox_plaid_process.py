"""The face inside the whole sandbox: three servers, one state, control over HTTP."""

import ssl
from typing import Any

import httpx

from provider_sandbox.running import RunningSandbox
from provider_sandbox.settings import Settings

TLS = ssl.create_default_context()
KEYS = {"client_id": "client-1", "secret": "secret-1"}
SETTINGS = Settings(
    plaid_client_id=KEYS["client_id"],
    plaid_secret=KEYS["secret"],
    snaptrade_client_id="snap",
    snaptrade_consumer_key="key",
    webhook_timescale=0.001,
)


def test_control_and_face_share_one_state(listener: Any) -> None:
    with RunningSandbox(SETTINGS) as sandbox, httpx.Client(trust_env=False, verify=TLS) as http:

        def plaid(path: str, **body: Any) -> dict[str, Any]:
            return http.post(sandbox.urls.plaid + path, json=KEYS | body).json()

        def control(method: str, path: str, **options: Any) -> Any:
            return (
                http.request(method, sandbox.urls.control + "/_control" + path, **options)
                .raise_for_status()
                .json()
            )

        created = plaid(
            "/link/token/create",
            client_name="Folio",
            language="en",
            country_codes=["US"],
            user={"client_user_id": "u-1"},
            products=["investments"],
            webhook=listener.url,
            hosted_link={},
        )
        http.post(created["hosted_link_url"], data={"institution_id": "ins_56"}).raise_for_status()
        public_token = listener.wait(2)[0].body["public_token"]
        token = plaid("/item/public_token/exchange", public_token=public_token)["access_token"]
        control("PUT", "/accounts/chase-invest-demo/holdings", json={"security": "AAPL", "quantity": "175"})
        rotated = control("POST", "/plaid/keys/rotate")
        holdings = plaid("/investments/holdings/get", access_token=token)["holdings"]

        assert 175 in {row["quantity"] for row in holdings}
        assert listener.wait(3)[2].name == "HOLDINGS/DEFAULT_UPDATE"
        assert (
            plaid("/webhook_verification_key/get", key_id=rotated["expired"])["key"]["expired_at"] is not None
        )
        assert [item["id"] for item in control("GET", "/connections")["connections"]]
        sandbox.run(sandbox.state.webhooks.settle())
        assert {hook["status"] for hook in control("GET", "/webhooks")["webhooks"]} == {"delivered"}
        control("POST", "/reset")
        assert plaid("/item/get", access_token=token)["error_code"] == "INVALID_ACCESS_TOKEN"
