"""The account of gradient steps: UTD × transitions, neither more nor less."""

from dataclasses import dataclass


@dataclass
class UpdateBudget:
    """Critic updates owed for transitions received.

    The learner idles when it is ahead and says so when it is behind; the account goes into its checkpoint, so that the
    ratio survives a restart.

    Attributes:
        utd: U, critic updates per transition; spent U at a time.
        free: transitions that earn no update (RLPD's random steps, WSRL's warm-up).
        received: transitions received.
        updates: critic updates made for them.
    """

    utd: int
    free: int = 0
    received: int = 0
    updates: int = 0

    def receive(self, transitions: int) -> None:
        """Book transitions."""
        self.received += transitions

    def spend(self) -> None:
        """Book one super-step of U critic updates."""
        self.updates += self.utd

    @property
    def owed(self) -> int:
        """Super-steps that are due; never negative."""
        return max(0, self.earned - self.updates // self.utd)

    @property
    def earned(self) -> int:
        """Transitions that count."""
        return max(0, self.received - self.free)

    @property
    def trained(self) -> int:
        """Transitions whose updates are done, those that earn none included."""
        return min(self.received, self.free) + self.updates // self.utd

    @property
    def realised(self) -> float:
        """Critic updates per transition that counts; 0 before the first."""
        return self.updates / self.earned if self.earned else 0.0
