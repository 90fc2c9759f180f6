"""The official client, unmodified, against every endpoint of a live face."""

from datetime import UTC, datetime, timedelta
from typing import Any

import plaid
import pytest
from plaid.model.accounts_balance_get_request import AccountsBalanceGetRequest
from plaid.model.accounts_get_request import AccountsGetRequest
from plaid.model.country_code import CountryCode
from plaid.model.institutions_get_by_id_request import InstitutionsGetByIdRequest
from plaid.model.institutions_get_request import InstitutionsGetRequest
from plaid.model.institutions_search_request import InstitutionsSearchRequest
from plaid.model.investments_holdings_get_request import InvestmentsHoldingsGetRequest
from plaid.model.investments_refresh_request import InvestmentsRefreshRequest
from plaid.model.investments_transactions_get_request import InvestmentsTransactionsGetRequest
from plaid.model.investments_transactions_get_request_options import InvestmentsTransactionsGetRequestOptions
from plaid.model.item_access_token_invalidate_request import ItemAccessTokenInvalidateRequest
from plaid.model.item_get_request import ItemGetRequest
from plaid.model.item_public_token_exchange_request import ItemPublicTokenExchangeRequest
from plaid.model.item_remove_request import ItemRemoveRequest
from plaid.model.item_webhook_update_request import ItemWebhookUpdateRequest
from plaid.model.link_token_create_hosted_link import LinkTokenCreateHostedLink
from plaid.model.link_token_create_request import LinkTokenCreateRequest
from plaid.model.link_token_create_request_user import LinkTokenCreateRequestUser
from plaid.model.link_token_get_request import LinkTokenGetRequest
from plaid.model.products import Products
from plaid.model.sandbox_item_fire_webhook_request import SandboxItemFireWebhookRequest
from plaid.model.sandbox_item_reset_login_request import SandboxItemResetLoginRequest
from plaid.model.sandbox_public_token_create_request import SandboxPublicTokenCreateRequest
from plaid.model.sandbox_public_token_create_request_options import SandboxPublicTokenCreateRequestOptions
from plaid.model.transactions_sync_request import TransactionsSyncRequest
from plaid.model.webhook_type import WebhookType
from plaid.model.webhook_verification_key_get_request import WebhookVerificationKeyGetRequest

US = [CountryCode("US")]
INVESTMENTS = [Products("investments")]


def linked(sdk: Any, institution: str = "ins_56", products: Any = None, webhook: str | None = None) -> str:
    options = SandboxPublicTokenCreateRequestOptions(
        override_username="demo", **({"webhook": webhook} if webhook else {})
    )
    created = sdk.sandbox_public_token_create(
        SandboxPublicTokenCreateRequest(
            institution_id=institution, initial_products=products or INVESTMENTS, options=options
        )
    )
    exchanged = sdk.item_public_token_exchange(
        ItemPublicTokenExchangeRequest(public_token=created.public_token)
    )
    return str(exchanged.access_token)


def test_the_sdk_reads_institutions(sdk: Any) -> None:
    listed = sdk.institutions_get(InstitutionsGetRequest(count=3, offset=1, country_codes=US))
    everything = sdk.institutions_get(InstitutionsGetRequest(count=500, offset=0, country_codes=US))
    one = sdk.institutions_get_by_id(InstitutionsGetByIdRequest(institution_id="ins_56", country_codes=US))
    found = sdk.institutions_search(
        InstitutionsSearchRequest(query="schwab", country_codes=US, products=INVESTMENTS)
    )

    assert len(listed.institutions) == 3
    assert everything.total == len(everything.institutions)
    assert one.institution.name == "Chase"
    assert [item.institution_id for item in found.institutions] == ["ins_11"]


def test_the_sdk_creates_and_reads_link_tokens(sdk: Any) -> None:
    created = sdk.link_token_create(
        LinkTokenCreateRequest(
            client_name="Folio",
            language="en",
            country_codes=US,
            user=LinkTokenCreateRequestUser(client_user_id="u-1"),
            products=INVESTMENTS,
            hosted_link=LinkTokenCreateHostedLink(completion_redirect_uri="https://app.example.test/done"),
        )
    )
    read = sdk.link_token_get(LinkTokenGetRequest(link_token=created.link_token))

    assert created.hosted_link_url.startswith("http://127.0.0.1:")
    assert read.metadata.client_name == "Folio"
    assert read.link_sessions == []


@pytest.mark.parametrize(
    "institution",
    [
        "ins_11",
        "ins_12",
        "ins_116530",
        "ins_129473",
        "ins_115616",
        "ins_56",
        "ins_127989",
        "ins_900401",
        "ins_109508",
    ],
)
def test_the_sdk_reads_accounts_holdings_and_history_everywhere(sdk: Any, institution: str) -> None:
    token = linked(sdk, institution)

    accounts = sdk.accounts_get(AccountsGetRequest(access_token=token))
    balances = sdk.accounts_balance_get(AccountsBalanceGetRequest(access_token=token))
    holdings = sdk.investments_holdings_get(InvestmentsHoldingsGetRequest(access_token=token))
    history = sdk.investments_transactions_get(
        InvestmentsTransactionsGetRequest(
            access_token=token,
            start_date=datetime.now(UTC).date() - timedelta(days=700),
            end_date=datetime.now(UTC).date(),
            options=InvestmentsTransactionsGetRequestOptions(count=5, offset=0),
        )
    )

    ids = {account.account_id for account in accounts.accounts}
    assert ids == {account.account_id for account in balances.accounts}
    assert {holding.account_id for holding in holdings.holdings} <= ids
    assert {h.security_id for h in holdings.holdings} == {s.security_id for s in holdings.securities}
    assert history.total_investment_transactions >= len(history.investment_transactions) == 5


def test_the_sdk_manages_an_item(sdk: Any, listener: Any) -> None:
    token = linked(sdk)
    updated = sdk.item_webhook_update(ItemWebhookUpdateRequest(access_token=token, webhook=listener.url))
    assert updated.item.webhook == listener.url
    assert sdk.sandbox_item_reset_login(SandboxItemResetLoginRequest(access_token=token)).reset_login
    broken = sdk.item_get(ItemGetRequest(access_token=token))
    assert broken.item.error.error_code == "ITEM_LOGIN_REQUIRED"
    assert broken.status.last_webhook.code_sent == "ERROR"

    rotated = sdk.item_access_token_invalidate(
        ItemAccessTokenInvalidateRequest(access_token=token)
    ).new_access_token
    assert rotated != token
    sdk.item_remove(ItemRemoveRequest(access_token=rotated))
    with pytest.raises(plaid.ApiException) as gone:
        sdk.item_get(ItemGetRequest(access_token=rotated))
    assert gone.value.status == 400
    assert '"ITEM_NOT_FOUND"' in gone.value.body
    assert [w.name for w in listener.wait(2)] == ["ITEM/WEBHOOK_UPDATE_ACKNOWLEDGED", "ITEM/ERROR"]


def test_the_sdk_syncs_bank_transactions_page_by_page(sdk: Any) -> None:
    token = linked(sdk, products=[Products("investments"), Products("transactions")])
    seen: list[str] = []
    cursor = ""
    while True:
        page = sdk.transactions_sync(TransactionsSyncRequest(access_token=token, count=3, cursor=cursor))
        seen += [row.transaction_id for row in page.added]
        cursor = page.next_cursor
        if not page.has_more:
            break

    assert len(seen) == len(set(seen)) == 8
    assert sdk.transactions_sync(TransactionsSyncRequest(access_token=token, cursor=cursor)).added == []


def test_the_sdk_refreshes_fires_and_fetches_the_verification_key(sdk: Any, live: Any, listener: Any) -> None:
    token = linked(sdk, webhook=listener.url)
    sdk.investments_refresh(InvestmentsRefreshRequest(access_token=token))
    fired = sdk.sandbox_item_fire_webhook(
        SandboxItemFireWebhookRequest(
            access_token=token, webhook_code="DEFAULT_UPDATE", webhook_type=WebhookType("HOLDINGS")
        )
    )
    key = sdk.webhook_verification_key_get(
        WebhookVerificationKeyGetRequest(key_id=live.face.keys.current.kid)
    ).key

    assert fired.webhook_fired
    assert (key.alg, key.crv, key.expired_at) == ("ES256", "P-256", None)
    assert [w.name for w in listener.wait(1)] == ["HOLDINGS/DEFAULT_UPDATE"]
    assert live.state.ledger.billed() == {"plaid:investments_refresh": 1}
