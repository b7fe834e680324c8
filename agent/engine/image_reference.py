"""What the name of an image says: which registry, which repository, which tag or digest."""

import msgspec

DOCKER_HUB = "docker.io"
"""The registry of names that name none."""

_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_LIBRARY = "library/"
_LATEST = "latest"


class ImageReference(msgspec.Struct, frozen=True, gc=False):
    """The parts of a name such as ``registry.lan:5000/team/web:1@sha256:…``."""

    registry: str
    path: str
    """The repository within its registry."""
    tag: str
    """Empty where there is a digest and no tag."""
    digest: str
    """Empty for a name that may mean another image tomorrow."""

    @property
    def repository(self) -> str:
        """Registry and repository, as the engine writes them: what is Docker Hub's goes without it."""
        if self.registry == DOCKER_HUB:
            return self.path.removeprefix(_LIBRARY)
        return f"{self.registry}/{self.path}"

    @property
    def full_repository(self) -> str:
        """Registry and repository, the registry always named."""
        return f"{self.registry}/{self.path}"

    @property
    def full_name(self) -> str:
        """The name in full: two names that mean the same have the same."""
        tag, digest = self.tag and f":{self.tag}", self.digest and f"@{self.digest}"
        return f"{self.full_repository}{tag}{digest}"

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest if there is one, else the tag."""
        return self.digest or self.tag


def parse_reference(text: str) -> ImageReference:
    """Take a name apart. Whether it is a good one is the engine's to say."""
    name, _, digest = text.partition("@")
    head, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        name = head
    else:
        tag = ""
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, path = first, rest
    else:
        registry, path = DOCKER_HUB, name
    if registry in _HUB_NAMES:
        registry = DOCKER_HUB
        path = path if "/" in path else _LIBRARY + path
    return ImageReference(registry, path, tag or ("" if digest else _LATEST), digest)
