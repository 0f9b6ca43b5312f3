"""Cycles in a graph of names."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

Graph = Mapping[str, Sequence[str]]


def cycles(graph: Graph) -> Iterator[list[str]]:
    """Give a shortest cycle of every group of nodes that all lead to one another, each from its first node.

    The groups are strongly connected components, found by Kosaraju's two walks; it takes time linear
    in the graph's size.
    """
    position = {node: at for at, node in enumerate(graph)}
    for group in _groups(graph):
        start = min(group, key=position.__getitem__)
        trail = _way_back(start, graph, group)
        if trail:
            yield trail


def _groups(graph: Graph) -> Iterator[set[str]]:
    backwards: dict[str, list[str]] = {node: [] for node in graph}
    for node, following in graph.items():
        for each in following:
            backwards[each].append(node)
    grouped: set[str] = set()
    for root in reversed(_finishing_order(graph)):
        if root in grouped:
            continue
        group, waiting = {root}, [root]
        while waiting:
            for each in backwards[waiting.pop()]:
                if each not in grouped and each not in group:
                    group.add(each)
                    waiting.append(each)
        grouped |= group
        yield group


def _finishing_order(graph: Graph) -> list[str]:
    """Return the nodes in the order in which a walk in depth leaves them."""
    order: list[str] = []
    seen: set[str] = set()
    for root in graph:
        if root in seen:
            continue
        seen.add(root)
        path = [(root, iter(graph[root]))]
        while path:
            node, following = path[-1]
            unseen = next((each for each in following if each not in seen), None)
            if unseen is None:
                order.append(node)
                path.pop()
            else:
                seen.add(unseen)
                path.append((unseen, iter(graph[unseen])))
    return order


def _way_back(start: str, graph: Graph, group: set[str]) -> list[str]:
    """Return the nodes on a shortest way from a node to itself, or an empty list when there is none."""
    came_from: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for each in graph[node]:
            if each == start:
                trail = [node]
                while trail[-1] != start:
                    trail.append(came_from[trail[-1]])
                return trail[::-1]
            if each in group and each not in came_from:
                came_from[each] = node
                waiting.append(each)
    return []
