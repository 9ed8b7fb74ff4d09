"""PUCT for one game, written to be read: nodes are objects, and every quantity is a Python number."""

import math

import numpy as np


class Node:
    def __init__(self, game, state, policy):
        self.state, self.side = state, int(game.to_play(state)[0])
        self.legal = np.flatnonzero(game.legal_actions(state)[0])
        self.visits = dict.fromkeys(self.legal, 0)
        self.totals = dict.fromkeys(self.legal, 0.0)  # for the side to move
        self.children, self.winner = {}, None
        if len(self.legal):
            logits = policy(game.observe(state))[0][self.legal] if policy else np.zeros(len(self.legal))
            weights = np.exp(logits - logits.max())
            self.priors = dict(zip(self.legal, weights / weights.sum(), strict=True))

    def best_action(self, c_puct):
        num_visits = 1 + sum(self.visits.values())

        def score(action):
            n = self.visits[action]
            mean = self.totals[action] / n if n else 0
            return mean + c_puct * self.priors[action] * math.sqrt(num_visits) / (1 + n)

        return max(self.legal, key=score)  # the first of equal ones


def search(game, state, policy, value, rollout, mixing, c_puct, num_simulations):
    root = Node(game, state, policy)
    for _ in range(num_simulations):
        node, path = root, []
        while len(node.legal):
            action = node.best_action(c_puct)
            path.append((node, action))
            if action not in node.children:
                child_state, reward, _ = game.play(node.state, [action])
                child = node.children[action] = Node(game, child_state, policy)
                child.winner = node.side if reward[0] == 1 else None
                node = child
                break
            node = node.children[action]
        for_side = evaluate(game, node, value, rollout, mixing)
        for parent, action in path:
            parent.visits[action] += 1
            parent.totals[action] += for_side if parent.side == node.side else -for_side
    return root


def evaluate(game, node, value, rollout, mixing):
    """Return the value of a node for its side to move."""
    if len(node.legal) == 0:
        return 0.0 if node.winner is None else (1.0 if node.winner == node.side else -1.0)
    result = 0.0
    if mixing < 1:
        result += (1 - mixing) * float(value(game.observe(node.state))[0, 0])
    if mixing > 0:
        result += mixing * finish(game, node.state, rollout)
    return result


def finish(game, state, rollout):
    """Return the outcome of a rollout for the side to move."""
    side = int(game.to_play(state)[0])
    while True:
        mover = int(game.to_play(state)[0])
        state, rewards, finished = game.play(state, rollout(game, state))
        if finished[0]:
            return float(rewards[0]) if mover == side else -float(rewards[0])
