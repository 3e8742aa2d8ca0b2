"""Authorization code with PKCE, refresh, revocation and client credentials with Authlib, against a running Souk.

Reads its settings as JSON from standard input, so that no secret stands in the process list.
"""
import html.parser
import json
import sys
import urllib.parse

import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session

settings = json.load(sys.stdin)
issuer = settings["issuer"]


class Form(html.parser.HTMLParser):
    """The first form of a page: where it goes and what it holds."""

    def __init__(self):
        super().__init__()
        self.action, self.fields, self.pressed = "", {}, False

    def handle_starttag(self, tag, attrs):
        at = dict(attrs)
        name = at.get("name")
        if tag == "form":
            self.action = at.get("action", "")
        elif tag == "input" and name:
            self.fields[name] = settings.get(name, at.get("value", ""))
        elif tag == "button" and name and not self.pressed:
            self.fields[name], self.pressed = at.get("value", ""), True


def through_the_pages(url):
    """Logs in and agrees, as a browser without JavaScript does; the URL of the redirect to the client."""
    browser = requests.Session()
    page = browser.get(url, allow_redirects=False)
    for _ in range(10):
        if page.is_redirect:
            to = urllib.parse.urljoin(page.url, page.headers["Location"])
            if to.startswith(settings["redirect_uri"]):
                return to
            page = browser.get(to, allow_redirects=False)
            continue
        page.raise_for_status()
        form = Form()
        form.feed(page.text)
        page = browser.post(urllib.parse.urljoin(page.url, form.action), data=form.fields,
                            headers={"Origin": issuer}, allow_redirects=False)
    sys.exit("the pages lead nowhere")


metadata = requests.get(issuer + "/.well-known/oauth-authorization-server").json()
assert metadata["issuer"] == issuer, metadata
assert metadata["code_challenge_methods_supported"] == ["S256"], metadata

client = OAuth2Session(settings["client_id"], redirect_uri=settings["redirect_uri"], scope="account orders",
                       token_endpoint_auth_method="none", code_challenge_method="S256")
verifier = generate_token(64)
url, state = client.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
answer = through_the_pages(url)
token = client.fetch_token(metadata["token_endpoint"], authorization_response=answer, state=state, code_verifier=verifier)
me = client.get(issuer + "/v1/users/me")
assert me.status_code == 200 and me.json()["email"] == settings["email"], me.text
print("authorization code with PKCE:", token["token_type"], token["expires_in"], token["scope"])

fresh = client.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
assert fresh["access_token"] != token["access_token"] and fresh["refresh_token"] != token["refresh_token"]
assert client.get(issuer + "/v1/users/me").status_code == 200
print("refresh: new tokens")

revoked = client.revoke_token(metadata["revocation_endpoint"], token=fresh["refresh_token"], token_type_hint="refresh_token")
assert revoked.status_code == 200, revoked.text
try:
    client.refresh_token(metadata["token_endpoint"], refresh_token=fresh["refresh_token"])
    sys.exit("a revoked refresh token was taken")
except Exception as error:
    assert "invalid_grant" in str(error), error
print("revoke: the refresh token is refused")

service = OAuth2Session(settings["service_id"], settings["service_secret"], scope="users:read")
token = service.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
found = service.get(issuer + "/v1/users", params={"email": settings["email"]})
assert found.status_code == 200 and found.json()["items"][0]["email"] == settings["email"], found.text
introspected = service.introspect_token(metadata["introspection_endpoint"], token=token["access_token"])
assert introspected.json()["active"] is True, introspected.text
print("client credentials and introspection:", introspected.json()["scope"])
