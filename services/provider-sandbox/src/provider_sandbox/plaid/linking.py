"""What a user's choices in Link lead to: a new Item, a repaired one, or an exit; and the webhooks that follow."""

from dataclasses import dataclass

from provider_sandbox.plaid import bodies, institutions
from provider_sandbox.plaid.face import PlaidFace
from provider_sandbox.plaid.items import Item
from provider_sandbox.plaid.links import LinkSession, LinkToken
from provider_sandbox.world import Account, Institution

FAILURES = (
    "INVALID_CREDENTIALS",
    "INVALID_MFA",
    "ITEM_LOCKED",
    "NO_ACCOUNTS",
    "NO_INVESTMENT_ACCOUNTS",
    "USER_SETUP_REQUIRED",
    "MFA_NOT_SUPPORTED",
    "INSTITUTION_NOT_RESPONDING",
    "INSTITUTION_NO_LONGER_SUPPORTED",
)
_EXIT_STATUS = {"INVALID_MFA": "requires_code", "NO_INVESTMENT_ACCOUNTS": "requires_account_selection"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user did: the institution, the user name typed and the outcome picked.

    `outcome` is `success`, `cancel` or one of FAILURES.
    """

    institution: Institution | None
    username: str
    outcome: str


async def conclude(face: PlaidFace, link: LinkToken, choice: Choice) -> LinkSession:
    """End the session under way as chosen and send its webhooks."""
    session = link.open_session(face.now())
    institution = choice.institution
    if institution is not None:
        session.institution = {"institution_id": institution.plaid_id or "", "name": institution.name}
    if choice.outcome == "cancel" or institution is None:
        await _leave(
            face, link, session, None, "requires_credentials" if institution else "institution_not_found"
        )
    elif choice.outcome in FAILURES:
        await _leave(face, link, session, choice.outcome)
    elif link.item_id is not None:
        await _update(face, link, session, choice)
    else:
        await _add(face, link, session, institution, choice.username)
    return session


def admit(face: PlaidFace, link: LinkToken, institution: Institution, username: str) -> list[Account] | str:
    """The accounts a login would share, or the error code that keeps it from linking."""
    login = face.state.world.login(username, institution.slug)
    if login is None:
        return "INVALID_CREDENTIALS"
    shared = [face.state.world.accounts[key] for key in login.accounts]
    shared = [account for account in shared if link.shares(account)]
    if not shared:
        return "NO_ACCOUNTS"
    if "investments" in link.products and not any(a.family == "investment" for a in shared):
        return "NO_INVESTMENT_ACCOUNTS"
    return shared


def new_item(
    face: PlaidFace, link: LinkToken, institution: Institution, username: str, shared: list[Account]
) -> Item:
    """Create the Item of a login; where the institution is like that, earlier Items of the login break."""
    offered = (*institution.plaid_products, "balance") if institution.plaid_products else ("balance",)
    item = face.items.add(
        institution_slug=institution.slug,
        institution_id=institution.plaid_id or "",
        institution_name=institution.name,
        username=username,
        account_keys=tuple(account.key for account in shared),
        products=tuple(name for name in link.products if name in offered),
        consented=tuple(dict.fromkeys((*link.products, *link.consented))),
        offered=tuple(dict.fromkeys(offered)),
        webhook=link.webhook,
        user=link.client_user_id,
    )
    face.look(item)
    return item


async def _add(
    face: PlaidFace, link: LinkToken, session: LinkSession, institution: Institution, username: str
) -> None:
    if not institutions.supports(institution, link.products, link.country_codes):
        await _leave(face, link, session, None, "institution_not_supported")
        return
    shared = admit(face, link, institution, username)
    if isinstance(shared, str):
        await _leave(face, link, session, shared)
        return
    await _break_rivals(face, institution, username)
    item = new_item(face, link, institution, username, shared)
    public_token = face.items.offer(item)
    session.results.append(
        {
            "public_token": public_token,
            "institution": session.institution,
            "accounts": [_summary(item, account) for account in shared],
        }
    )
    _succeed(face, session)
    await face.send(link.webhook, bodies.item_add_result(link.token, session.session_id, public_token))
    await _finished(face, link, session, "success", [public_token])


async def _update(face: PlaidFace, link: LinkToken, session: LinkSession, choice: Choice) -> None:
    item = face.items.by_id(link.item_id or "")
    if item is None:
        await _leave(face, link, session, "ITEM_NOT_FOUND")
        return
    login = face.state.world.login(choice.username, item.institution_slug)
    if login is None or choice.username != item.username:
        await _leave(face, link, session, "INVALID_CREDENTIALS")
        return
    face.items.share(item, login.accounts)
    _succeed(face, session)
    await face.repair(item)
    await _finished(face, link, session, "success", [])


async def _leave(
    face: PlaidFace, link: LinkToken, session: LinkSession, error: str | None, status: str | None = None
) -> None:
    session.error = error
    session.exit_status = status or _EXIT_STATUS.get(error or "", "requires_credentials")
    session.finished_at = face.now()
    session.record(
        "EXIT", face.now(), exit_status=session.exit_status, **({"error_code": error} if error else {})
    )
    await _finished(face, link, session, "exited", [])


def _succeed(face: PlaidFace, session: LinkSession) -> None:
    session.succeeded = True
    session.finished_at = face.now()
    institution = session.institution or {}
    details = {
        "institution_id": institution.get("institution_id", ""),
        "institution_name": institution.get("name", ""),
    }
    session.record("HANDOFF", face.now(), **details)


async def _finished(
    face: PlaidFace, link: LinkToken, session: LinkSession, status: str, tokens: list[str]
) -> None:
    spelled = status.upper() if face.shouting_status else status
    body = bodies.session_finished(link.token, session.session_id, spelled, tokens)
    await face.send(_session_webhook(face, link), body)


def _session_webhook(face: PlaidFace, link: LinkToken) -> str | None:
    item = face.items.by_id(link.item_id) if link.item_id else None
    return item.webhook if item is not None else link.webhook


async def _break_rivals(face: PlaidFace, institution: Institution, username: str) -> None:
    if face.quirk(institution.slug).steals_logins:
        for item in list(face.items):
            if not item.removed and (item.institution_slug, item.username) == (institution.slug, username):
                await face.fail(item)


def _summary(item: Item, account: Account) -> dict[str, str | None]:
    return {
        "id": item.account_id(account.key),
        "name": account.name,
        "mask": account.mask,
        "type": account.plaid_type,
        "subtype": account.plaid_subtype,
        "verification_status": None,
        "class_type": None,
    }
