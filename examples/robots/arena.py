"""The arena: robots on a square field, which move and punch in turns."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

SIZE = 8
STRENGTH = 3
Position: TypeAlias = "tuple[int, int]"
#: What a robot sees: its name, its position, its strength, and where the others are.
View: TypeAlias = "dict[str, Any]"
#: What a robot does: ("move", dx, dy), ("punch",) everybody next to it, or ("wait",).
Action: TypeAlias = "tuple[Any, ...]"
STEPS = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if (dx, dy) != (0, 0)]


@dataclass
class Robot:
    name: str
    think: Callable[[View], Action]
    position: Position
    strength: int = STRENGTH


@dataclass
class Arena:
    random: random.Random
    robots: list[Robot] = field(default_factory=list)

    def enter(self, name: str, think: Callable[[View], Action]) -> None:
        """Put a robot on a free place.

        Raises:
            ValueError: there is one of this name.
        """
        if any(robot.name == name for robot in self.robots):
            raise ValueError(f"there is a robot {name} already")
        free = [(x, y) for x in range(SIZE) for y in range(SIZE) if not self._at((x, y))]
        self.robots.append(Robot(name, think, self.random.choice(free)))

    def turn(self) -> list[str]:
        """Let every robot act once; returns what happened."""
        events: list[str] = []
        for robot in list(self.robots):
            if robot in self.robots:  # has not been knocked out in this turn
                events += self._act(robot, robot.think(self._view(robot)))
        return events

    def picture(self) -> str:
        letters = {robot.position: robot.name[0] for robot in self.robots}
        return "\n".join("".join(letters.get((x, y), ".") for x in range(SIZE)) for y in range(SIZE))

    def _view(self, robot: Robot) -> View:
        others = {other.name: other.position for other in self.robots if other is not robot}
        return {"name": robot.name, "position": robot.position, "strength": robot.strength, "others": others}

    def _at(self, position: Position) -> Robot | None:
        return next((robot for robot in self.robots if robot.position == position), None)

    def _act(self, robot: Robot, action: Action) -> list[str]:
        if action[0] == "gone":
            self.robots.remove(robot)
            return [f"{robot.name} does not answer and is out"]
        x, y = robot.position
        if action[0] == "move":
            target = (x + action[1], y + action[2])
            if 0 <= target[0] < SIZE and 0 <= target[1] < SIZE and not self._at(target):
                robot.position = target
        elif action[0] == "punch":
            return [event for dx, dy in STEPS if (victim := self._at((x + dx, y + dy))) for event in self._hit(victim)]
        return []

    def _hit(self, victim: Robot) -> list[str]:
        victim.strength -= 1
        if victim.strength:
            return []
        self.robots.remove(victim)
        return [f"{victim.name} is knocked out"]
