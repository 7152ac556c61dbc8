"""A training step in PyTorch's names, which are tinygen's."""

import importlib

from .task import Task, set_weights


def training_step(task: Task, engine: str):
    m = importlib.import_module(engine.partition(".")[0])
    model = task.model(m)
    set_weights(model, m)
    batches = ([m.from_numpy(array) for array in batch] for batch in task.batches())
    fused = {"fused": True} if m.__name__ == "torch" else {}
    updates = []
    for part, name in task.losses.items():
        parameters = list((getattr(model, part) if part else model).parameters())
        optimizer = getattr(m.optim, task.optimizer)(parameters, **task.options, **fused)
        loss = getattr(task, name)
        updates.append((optimizer, m.compile(loss) if engine == "torch.compile" else loss))

    def step():
        batch, losses = next(batches), []
        for optimizer, loss in updates:
            value = loss(m, model, *batch)
            value.backward()
            if task.clip:
                m.nn.utils.clip_grad_norm_(model.parameters(), task.clip)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(value.item())
        return losses

    return step
