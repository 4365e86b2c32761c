"""What a file is about: which samples, and which injected feature they carried. `Subject` records both, `require_same` compares two."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from spurcli.artifacts.envelope import JsonObject, optional_field
from spurcli.artifacts.fingerprint import Fingerprint
from spurcli.artifacts.records import SubjectContent
from spurcli.errors import InputError


class InjectionPolicy(Enum):
    """Which files a stage accepts: made with the same injected feature, or with any. Each stage decides once, by its flag."""

    SAME = "same"
    ANY = "any"

    @classmethod
    def of(cls, allow_injection_mismatch: bool) -> InjectionPolicy:
        return cls.ANY if allow_injection_mismatch else cls.SAME


@dataclass(frozen=True)
class Subject:
    """The samples of one split, and the injection with which a file about them was made.

    `fingerprint` is None where a file does not say which samples it is about (a list without header). `injection_sha256`
    identifies the inject.json, None stands for none; a file with `states_injection` false does not say. `name` is what
    messages call the file or data set.
    """

    fingerprint: Fingerprint | None
    injection_sha256: str | None = None
    states_injection: bool = True
    name: str = field(default="", compare=False)

    @classmethod
    def unknown(cls, name: str = "") -> Subject:
        """The subject of a file that does not state one."""
        return cls(None, None, states_injection=False, name=name)

    @classmethod
    def from_json(cls, content: JsonObject, where: str, name: str) -> Subject:
        """The subject in a header or JSON file, either part of which may be left out; `where` is for errors in it."""
        stated = content.get("fingerprint")
        return cls(
            Fingerprint.from_json(stated, where) if stated is not None else None,
            optional_field(content, "injection_sha256", str, where),
            "injection_sha256" in content,
            name,
        )

    def to_json(self) -> SubjectContent:
        content: SubjectContent = {"fingerprint": self.fingerprint.to_json() if self.fingerprint else None}
        return {**content, "injection_sha256": self.injection_sha256} if self.states_injection else content

    @property
    def samples(self) -> Fingerprint:
        """The fingerprint, of a file that always has one."""
        assert self.fingerprint is not None
        return self.fingerprint

    @property
    def num_samples(self) -> int | None:
        return self.fingerprint.num_samples if self.fingerprint else None

    def require_same(self, other: Subject, policy: InjectionPolicy) -> None:
        """Raise InputError unless both are about the same samples and, if `policy` asks for it, the same injection.

        Only what both state is compared.
        """
        self.require_same_samples(other)
        self.require_same_injection(other, policy)

    def require_same_samples(self, other: Subject) -> None:
        """Raise InputError where the fingerprints differ in what both have."""
        if self.fingerprint is None or other.fingerprint is None:
            return
        if difference := self.fingerprint.difference(other.fingerprint):
            raise InputError(
                f"{self.name} and {other.name} are not about the same samples: {difference}",
                "Use files made from the same data set, or make the older one again.",
            )

    def require_same_injection(self, other: Subject, policy: InjectionPolicy) -> None:
        """Raise InputError where `policy` asks for one injection and the two were made with different ones."""
        if policy is InjectionPolicy.ANY or not (self.states_injection and other.states_injection):
            return
        if self.injection_sha256 != other.injection_sha256:
            raise InputError(
                f"{self.name} was made with {self._injection}, {other.name} with {other._injection}",
                "Name the same inject.json with --dataset, or add --allow-injection-mismatch if this is intended.",
            )

    @property
    def _injection(self) -> str:
        return f"injection {self.injection_sha256[:12]}" if self.injection_sha256 else "no injection"
