"""The learning rate of each iteration."""

from detectron2.engine import hooks


class LRScheduler(hooks.LRScheduler):
    """detectron2's hook, for detectron2's schedules, whose values follow from the iteration alone.

    A resumed run goes on with the schedule of its config: what the checkpoint says of it does not
    count. The name is that under which checkpoints know the hook.
    """

    def load_state_dict(self, state_dict: dict) -> None:
        """Nothing; `before_train` knows better."""

    def before_train(self) -> None:
        super().before_train()
        scheduler = self.scheduler
        scheduler.last_epoch = self.trainer.start_iter
        for group, lr in zip(self._optimizer.param_groups, scheduler.get_lr(), strict=True):
            group["lr"] = lr
