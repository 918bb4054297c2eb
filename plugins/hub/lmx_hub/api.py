"""Asks the hub what a repository holds. The API: https://huggingface.co/docs/hub/api.

The transfer itself is ours and not huggingface_hub's (2.4 looked at), which throws away half a file when its process
ends, checks sizes but no checksums, and shows files to other tools before all of them are there.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from attrs import frozen

from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import Forbidden, ModelNotFound, Unavailable
from lmx_hub.environment import endpoint, is_offline, token
from lmx_hub.names import CHECKSUM, COMMIT, is_path

if TYPE_CHECKING:
    import httpx

RETRY_AFTER_S = 30.0
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0


@frozen
class HubFile:
    """A file of a repository; `blob_id` is the SHA-1 that git knows it by."""

    path: str
    size_bytes: int
    blob_id: str
    sha256: str | None = None
    """Of large files, for which `blob_id` is that of a mere pointer."""

    @property
    def etag(self) -> str:
        """Its name among the cache's blobs."""
        return self.sha256 or self.blob_id


@frozen
class Revision:
    """A commit of a repository."""

    repo_id: str
    commit: str
    gated: bool
    files: Sequence[HubFile]


@frozen
class Hub:
    """A hub, and the connections to it."""

    url: str
    """To be shown: without user and password."""
    client: "httpx.Client"

    def revision(self, repo_id: str, revision: str) -> Revision:
        """What a branch, tag or commit holds; raises ModelNotFound, Forbidden, Unavailable."""
        response = self._ask("GET", f"/api/models/{repo_id}/revision/{quote(revision, safe='')}?blobs=true", repo_id)
        try:
            return _revision(repo_id, response.json())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable(
                f"what answers at {self.url} does not list files, sizes and checksums as the Hugging Face hub does "
                f"({type(error).__name__}: {error}); check HF_ENDPOINT",
                code="hub_unreachable",
            ) from error

    def check_access(self, revision: Revision, file: HubFile) -> None:
        """Raise Forbidden where this file could be seen in the list, and not be downloaded."""
        self._ask("HEAD", self.path_of(revision, file), revision.repo_id)

    def path_of(self, revision: Revision, file: HubFile) -> str:
        """Where the file is, below the hub's address."""
        return f"/{revision.repo_id}/resolve/{revision.commit}/{quote(file.path)}"

    def _ask(self, method: str, path: str, repo_id: str) -> "httpx.Response":
        import httpx

        try:
            response = self.client.request(method, path, follow_redirects=method == "GET")
        except httpx.RequestError as error:
            raise unreachable(self.url, str(error) or type(error).__name__) from error
        if response.is_error:
            raise refusal(response, repo_id)
        return response


@contextmanager
def open_hub(environment: Mapping[str, str]) -> Iterator[Hub]:
    """The hub that the environment names; raises Unavailable where it says that there is no network."""
    import httpx

    if is_offline(environment):
        raise Unavailable(
            "HF_HUB_OFFLINE is set, so nothing is downloaded; unset it and restart", code="hub_unreachable"
        )
    url, secret = endpoint(environment), token(environment)
    # Compressed answers could not be resumed: their bytes are not the file's.
    headers = {"Accept-Encoding": "identity", "User-Agent": "lmx"}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"  # httpx drops it when the hub sends us on to another host
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    try:
        shown = without_secrets(url)
        client = httpx.Client(base_url=url, headers=headers, timeout=timeout, follow_redirects=True)
    except ValueError:
        # Neither shown nor chained: where it cannot be read, nobody knows which part of it is a password.
        raise Unavailable(
            "HF_ENDPOINT is not the address of a hub, which begins with http:// or https:// and a host; special "
            "characters of a password have to be percent-encoded; set it and restart",
            code="hub_unreachable",
        ) from None
    with client:
        yield Hub(shown, client)


def without_secrets(url: str) -> str:
    """The address without user and password, as it may be shown; raises ValueError for what is none."""
    import httpx

    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("not an address") from None
    if address.scheme not in {"http", "https"} or not address.host:
        raise ValueError("not the address of a server")
    return str(address.copy_with(userinfo=b""))


def unreachable(url: str, reason: str) -> Unavailable:
    """Nobody answers there."""
    return Unavailable(
        f"the hub at {url} cannot be reached: {reason}; check the network and HF_ENDPOINT, then try again",
        code="hub_unreachable",
        retry_after_s=RETRY_AFTER_S,
    )


def refusal(response: "httpx.Response", repo_id: str) -> LmxError:
    """What an answer that brings nothing means.

    The hub answers 401 for what does not exist too, unless it knows who asks; its error code tells the two apart.
    """
    reason = response.headers.get("x-error-code", "")
    if reason == "RevisionNotFound":
        return ModelNotFound(f"the repository {repo_id} has no such revision", param="revision")
    if reason == "EntryNotFound":
        return ModelNotFound(f"the repository {repo_id} no longer has {response.url.path}; try again", param="repo_id")
    if reason == "GatedRepo" or response.status_code == 403:
        return Forbidden(
            f"the hub does not give out {repo_id} to everybody: accept its licence on its page, and set HF_TOKEN to a "
            "token of your account for the server",
            code="hub_forbidden",
            param="repo_id",
        )
    if response.status_code in {401, 404}:
        return ModelNotFound(
            f"the hub has no model {repo_id}, or it is private: check the name, or set HF_TOKEN for the server",
            param="repo_id",
        )
    return Unavailable(
        f"the hub answered {response.status_code} for {repo_id}; try again in a moment",
        code="hub_unreachable",
        retry_after_s=RETRY_AFTER_S,
    )


def _revision(repo_id: str, answer: Mapping[str, Any]) -> Revision:
    commit = answer["sha"]
    if not COMMIT.fullmatch(commit):
        raise ValueError("the commit is not a SHA-1")
    files = [_file(sibling) for sibling in answer["siblings"]]
    return Revision(repo_id, commit, bool(answer.get("gated")), files)


def _file(sibling: Mapping[str, Any]) -> HubFile:
    path, lfs = sibling["rfilename"], sibling.get("lfs")
    file = HubFile(path, int(sibling["size"]), sibling.get("blobId") or "", lfs["sha256"] if lfs else None)
    if not is_path(path):
        raise ValueError(f"{path!r} is not a path")
    if not CHECKSUM.fullmatch(file.etag) or file.size_bytes < 0:
        raise ValueError(f"{path} has an impossible size or checksum")
    return file
