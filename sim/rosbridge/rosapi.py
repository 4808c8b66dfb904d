"""What clients ask of a graph at the start: the services of rosapi_node, as far as clients of robots ask them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sim.rosbridge.graph import Graph, Handler
from sim.rosbridge.message_types import MessageError, plain

Args = Mapping[str, Any]


class Rosapi:
    """Answers about one graph. A topic or service that is not there has the type "".

    Args:
        graph: that it speaks of, and offers its services in.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        answers: dict[str, tuple[str, Callable[[Args], dict[str, Any]]]] = {
            "topics": ("Topics", self.topics),
            "topic_type": ("TopicType", self.topic_type),
            "topics_for_type": ("TopicsForType", self.topics_for_type),
            "publishers": ("Publishers", self.publishers),
            "subscribers": ("Subscribers", self.subscribers),
            "services": ("Services", self.services),
            "service_type": ("ServiceType", self.service_type),
            "nodes": ("Nodes", self.nodes),
            "get_time": ("GetTime", self.get_time),
            "get_param": ("GetParam", self.get_param),
        }
        if graph.ros == 2:
            answers["get_ros_version"] = ("GetROSVersion", self.get_ros_version)
        for name, (kind, answer) in answers.items():
            graph.serve(f"/rosapi/{name}", f"rosapi/{kind}", _handler(answer))

    def topics(self, args: Args) -> dict[str, Any]:
        """Every topic with its type."""
        kinds = [self._graph.full_type(topic.type, "msg") for topic in self._graph.topics.values()]
        return {"topics": list(self._graph.topics), "types": kinds}

    def topic_type(self, args: Args) -> dict[str, Any]:
        """Of one topic."""
        topic = self._graph.topics.get(_text(args, "topic"))
        return {"type": self._graph.full_type(topic.type, "msg") if topic is not None else ""}

    def topics_for_type(self, args: Args) -> dict[str, Any]:
        """Those of one type."""
        wanted = plain(_text(args, "type"))
        return {"topics": [name for name, topic in self._graph.topics.items() if topic.type == wanted]}

    def publishers(self, args: Args) -> dict[str, Any]:
        """Nodes that publish a topic."""
        topic = self._graph.topics.get(_text(args, "topic"))
        return {"publishers": sorted(set(topic.publishers)) if topic is not None else []}

    def subscribers(self, args: Args) -> dict[str, Any]:
        """Nodes that listen to a topic."""
        topic = self._graph.topics.get(_text(args, "topic"))
        return {"subscribers": sorted({node for node, _ in topic.listeners.values()}) if topic is not None else []}

    def services(self, args: Args) -> dict[str, Any]:
        """Every service."""
        return {"services": list(self._graph.services)}

    def service_type(self, args: Args) -> dict[str, Any]:
        """Of one service."""
        found = self._graph.services.get(_text(args, "service"))
        return {"type": self._graph.full_type(found[0], "srv") if found is not None else ""}

    def nodes(self, args: Args) -> dict[str, Any]:
        """Every node."""
        topics = self._graph.topics.values()
        publishing = {node for topic in topics for node in topic.publishers}
        listening = {node for topic in topics for node, _ in topic.listeners.values()}
        return {"nodes": sorted(publishing | listening | {"/rosapi"})}

    def get_time(self, args: Args) -> dict[str, Any]:
        """Of the robot's clock."""
        return {"time": self._graph.clock.stamp()}

    def get_param(self, args: Args) -> dict[str, Any]:
        """A parameter, as JSON."""
        name, there = _text(args, "name"), self._graph.parameters
        return {"value": json.dumps(there[name]) if name in there else str(args.get("default", ""))}

    def get_ros_version(self, args: Args) -> dict[str, Any]:
        """ROS 2 alone has this."""
        return {"version": 2, "distro": "stand-in"}


def _handler(answer: Callable[[Args], dict[str, Any]]) -> Handler:
    async def handle(args: Args) -> dict[str, Any]:
        return answer(args)

    return handle


def _text(args: Args, key: str) -> str:
    value = args.get(key, "")
    if not isinstance(value, str):
        raise MessageError(f"the request's {key} must be a string")
    return value
