"""What objectives on class logits have in common: they embed nothing, and cost next to nothing."""

from typing import ClassVar

from trainables.protocols import ObjectiveMember, Operation, Reads, Shapes


class LogitsMember(ObjectiveMember):
    """An objective on the logits of `networks` networks."""

    networks: ClassVar[int] = 2

    @property
    def reads(self) -> frozenset[Reads]:
        """Logits."""
        return frozenset({"logits"})

    def operations(self, shapes: Shapes) -> list[Operation]:
        """One softmax for each network: bytes, next to no arithmetic."""
        values = self.networks * shapes.batch * shapes.classes
        return [Operation("logits", flops=values, bytes=4 * values)]
