"""memory-isolation (platform): a guest changes nothing but its own memory."""

from __future__ import annotations

from typing import ClassVar, Final

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.target import Target
from hlfuzz.vmm import Region

_REGIONS: Final[tuple[Region, ...]] = ("tables", "text")
_BYSTANDER: Final = "bystander"


class MemoryIsolation(Invariant):
    """Hashes what the guest must not write before and after each case, and watches a second sandbox stay
    untouched.

    Only the kvm engine can tell: in-process the guest's memory lies in the host's own address space.
    """

    id: ClassVar[str] = "memory-isolation"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "page tables, code and other sandboxes stay bit-identical whatever a guest does"

    def unfit(self, target: Target) -> str:
        if target.session().vm is None:
            return "needs a view into the VM's memory, which only the kvm engine has"
        return ""

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        session, bystander = target.session("strict" if strict else "memory"), target.session(role=_BYSTANDER)
        vm, other = session.vm, bystander.vm
        if vm is None or other is None:
            return None
        before: dict[Region, int] = {region: vm.region_hash(region) for region in _REGIONS}
        session.run(case)
        for region, old in before.items():
            if (new := vm.region_hash(region)) != old:
                return self._fault(case, f"the {region} of its own VM", f"hash {old:016x} became {new:016x}")
        # The VM first: reading a global runs code in it.
        if pages := other.verify():
            return self._fault(case, "another sandbox", f"{pages} pages of its RAM differ from the snapshot")
        state = bystander.state_digest()
        bystander.box.reset()
        if state != target.pristine_digest:
            return self._fault(case, "another sandbox", "its memory or globals are not those of the snapshot")
        return None

    def _fault(self, case: Case, what: str, evidence: str) -> Fault:
        function = case.calls[-1].function
        return self.violated(
            function=function,
            detail=what,
            title=f"{function} changed {what}",
            evidence=(evidence,),
            case=case,
        )
