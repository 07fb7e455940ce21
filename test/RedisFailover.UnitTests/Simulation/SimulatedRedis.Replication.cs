namespace RedisFailover.UnitTests.Simulation;

internal sealed partial class SimulatedRedis
{
    private const long LinkPing = 2 * World.Second;

    private readonly List<ReplicaLink> _replicas = [];
    private readonly Queue<(long End, Commit? Data)> _backlog = new();
    private long _backlogStart = -1;
    private SimulatedRedis? _master;
    private bool _isDetached;
    private ReplicaLink? _link;
    private LinkState _state;
    private long _pingedAt;

    private enum LinkState
    {
        Down,
        Asking,
        Copying,
        Up,
    }

    private bool HasBacklog => _backlogStart >= 0;

    /// <summary>REPLICAOF; null for NO ONE. The error, or null.</summary>
    private string? ReplicaOf(SimulatedRedis? master)
    {
        IsOrderedByHand = false;
        return ReplicaOf(master, isNowhere: false);
    }

    /// <summary>REPLICAOF by somebody who is no monitor.</summary>
    internal void ReplicaOfByHand(SimulatedRedis? master)
    {
        if (ReplicaOf(master, isNowhere: false) is null)
        {
            IsOrderedByHand = true;
        }
    }

    /// <summary>Whether it is what it is by somebody's order who is no monitor.</summary>
    internal bool IsOrderedByHand { get; private set; }

    /// <summary>REPLICAOF to where nobody listens.</summary>
    private string? Detach()
    {
        IsOrderedByHand = false;
        return ReplicaOf(null, isNowhere: true);
    }

    private string? ReplicaOf(SimulatedRedis? master, bool isNowhere)
    {
        if (IsLoading)
        {
            return "LOADING";
        }

        if (master == _master && isNowhere == _isDetached)
        {
            return null;
        }

        bool wasMaster = IsMaster;
        CloseLink(tellMaster: true);
        DropReplicas();
        if (master is null && !isNowhere)
        {
            (Previous, PreviousEnd) = (ReplicationId, Offset + 1);
            ReplicationId = NewId("repl");
            if (!HasBacklog)
            {
                BeginBacklog();
            }
        }
        else if (wasMaster)
        {
            foreach ((long _, SimulatedClient.Write write, NodeConnection _) in _waits.ToArray())
            {
                write.Answer!("UNBLOCKED");
            }

            _waits.Clear();
        }

        // A replica that is detached is still what it was, with what it had.
        ChangedAt = isNowhere && !wasMaster ? ChangedAt : World.Now;
        _master = master;
        OrderedAt = World.Now;
        _isDetached = isNowhere;
        TryLink();
        return null;
    }

    private void TryLink()
    {
        if (_master is null || _state != LinkState.Down || IsLoading)
        {
            return;
        }

        _state = LinkState.Asking;
        var link = _link = new ReplicaLink(this, _master);
        (string id, long offset) = (ReplicationId, Offset);
        ToMaster(link, () => link.Master.Serve(link, id, offset), refused: true);
    }

    /// <summary>PSYNC, as the master answers it.</summary>
    private void Serve(ReplicaLink link, string id, long offset)
    {
        if (IsLoading || IsFull || (!IsMaster && _state != LinkState.Up))
        {
            ToReplica(link, () => link.Replica.CloseLink(tellMaster: false));
            return;
        }

        link.HeardByMaster = World.Now;
        bool known = id == ReplicationId || (id == Previous && offset + 1 <= PreviousEnd);
        if (known && HasBacklog && offset >= _backlogStart && offset <= Offset)
        {
            (long, Commit?)[] missed = [.. _backlog.Where(e => e.End > offset)];
            (string now, Commit? data) = (ReplicationId, Data);
            link.IsServed = true;
            link.IsAttached = true;
            _replicas.Add(link);
            ToReplica(link, () => link.Replica.Continue(link, now, missed, data));
            return;
        }

        if (!HasBacklog)
        {
            // Its history begins with its first replica.
            (ReplicationId, Previous, PreviousEnd) = (NewId("repl"), null, -1);
            BeginBacklog();
        }

        After(settings.CopyDelay, () =>
        {
            if (!link.IsOpen || (!IsMaster && _state != LinkState.Up) || IsLoading || link.Master != this || link.Replica._link != link)
            {
                return;
            }

            (string now, Commit? data, long at, string run) = (ReplicationId, Data, Offset, RunId);
            link.IsServed = true;
            link.HeardByMaster = World.Now;
            _replicas.Add(link);
            ToReplica(link, () => link.Replica._state = LinkState.Copying);
            ToReplica(link, () => link.Replica.Load(link, now, data, at, run), dice.Between(settings.CopyTime / 4, settings.CopyTime));
        });
    }

    private void Continue(ReplicaLink link, string id, (long End, Commit? Data)[] missed, Commit? all)
    {
        if (id != ReplicationId)
        {
            (Previous, PreviousEnd, ReplicationId) = (ReplicationId, Offset + 1, id);
            DropReplicas();
        }

        if (!Commit.Contains(missed.Length > 0 ? missed[^1].Data : all, Data))
        {
            throw new InvalidOperationException($"the model is wrong: {Name} continues {link.Master.Name} with data that are not its own");
        }

        Tell($"continues {link.Master.Name} from {Offset}");
        _state = LinkState.Up;
        ledger.WentOn(this, link.Master);
        foreach ((long end, Commit? data) in missed)
        {
            Append(end, data, false);
        }
    }

    private void Load(ReplicaLink link, string id, Commit? data, long offset, string mastersRun)
    {
        Tell($"takes a full copy of {link.Master.Name}: {data} at {offset} instead of {Data} at {Offset}");
        Commit? old = Data;
        Data = null;
        Receive(data, id, offset);
        ledger.Replaced(this, old, data, link.Master, mastersRun);
        DropReplicas();
        IsLoading = true;
        ChangedAt = World.Now;
        After(dice.Between(0, settings.LoadTime), () =>
        {
            IsLoading = false;
            (ReplicationId, Previous, PreviousEnd, Offset, Data) = (id, null, -1, offset, data);
            BeginBacklog();
            ChangedAt = World.Now;
            RewriteWhatWasReceived();
            if (_link != link || !link.IsOpen)
            {
                TryLink();
                return;
            }

            _state = LinkState.Up;
            while (link.Pending.TryDequeue(out Action? next))
            {
                next();
            }
        });
    }

    private void Append(long end, Commit? data, bool wantsAnswer)
    {
        Offset = end;
        bool isWrite = !ReferenceEquals(Data, data);
        Data = data;
        if (isWrite)
        {
            AppendToFile();
        }

        if (HasBacklog)
        {
            _backlog.Enqueue((end, data));
            while (Offset - _backlogStart > settings.BacklogBytes && _backlog.TryDequeue(out (long End, Commit? Data) oldest))
            {
                _backlogStart = oldest.End;
            }
        }

        foreach (ReplicaLink link in _replicas)
        {
            ToReplica(link, () => link.Replica.Receive(link, end, data, wantsAnswer));
        }
    }

    private void Receive(ReplicaLink link, long end, Commit? data, bool wantsAnswer)
    {
        if (IsLoading)
        {
            link.Pending.Enqueue(() => Receive(link, end, data, wantsAnswer));
            return;
        }

        Append(end, data, wantsAnswer);
        if (wantsAnswer)
        {
            ToMaster(link, () => link.Master.Acknowledged(link, end));
        }
    }

    private void Acknowledged(ReplicaLink link, long offset)
    {
        link.HeardByMaster = World.Now;
        if (!_replicas.Contains(link))
        {
            return;
        }

        link.IsAttached = true;
        link.Acknowledged = Math.Max(link.Acknowledged, offset);
        foreach ((long due, SimulatedClient.Write write, NodeConnection _) in _waits.Where(w => w.Offset <= offset).ToArray())
        {
            NodeAddress[] holders = [.. _replicas.Where(r => r.Acknowledged >= due).Select(r => r.Replica.Address).Distinct()];
            if (holders.Length < write.WaitFor)
            {
                continue;
            }

            ledger.Replicated(this, write, holders);
            _waits.RemoveAll(w => ReferenceEquals(w.Write, write));
            Acknowledge(write, true);
        }
    }

    private void CheckLinks()
    {
        if (_link is { } link)
        {
            if (World.Now - link.HeardByReplica > settings.LinkTimeout)
            {
                Tell($"its link to {link.Master.Name} timed out");
                CloseLink(tellMaster: true);
            }
            else if (_state == LinkState.Up)
            {
                long offset = Offset;
                ToMaster(link, () => link.Master.Acknowledged(link, offset));
            }
        }

        TryLink();
        foreach (ReplicaLink silent in _replicas.Where(r => World.Now - r.HeardByMaster > settings.LinkTimeout).ToArray())
        {
            Drop(silent);
        }

        if (IsMaster && _replicas.Count > 0 && World.Now - _pingedAt >= LinkPing)
        {
            _pingedAt = World.Now;
            Append(Offset + 14, Data, false);
        }
    }

    private void CloseLink(bool tellMaster)
    {
        _state = LinkState.Down;
        if (_link is not { } link)
        {
            return;
        }

        _link = null;
        link.IsOpen = false;
        if (tellMaster)
        {
            Network.Send(link.Up, () => link.Master.Do(() => link.Master._replicas.Remove(link)));
        }
    }

    private void DropReplicas()
    {
        foreach (ReplicaLink link in _replicas.ToArray())
        {
            Drop(link);
        }
    }

    private void Drop(ReplicaLink link)
    {
        link.IsServed = false;
        _replicas.Remove(link);
        Network.Send(link.Down, () => link.Replica.Do(() =>
        {
            if (link.Replica._link == link)
            {
                // It tries again at once.
                link.Replica.CloseLink(tellMaster: false);
                link.Replica.TryLink();
            }
        }));
    }

    private void ToMaster(ReplicaLink link, Action what, bool refused = false)
    {
        int life = link.Master.Life;
        Network.Send(link.Up, () =>
        {
            if (!link.Master.IsUp || (!refused && life != link.Master.Life))
            {
                Network.Send(link.Down, () => link.Replica.Do(() =>
                {
                    if (link.Replica._link == link)
                    {
                        link.Replica.CloseLink(tellMaster: false);
                    }
                }));
                return;
            }

            link.Master.Do(what);
        });
    }

    private void ToReplica(ReplicaLink link, Action what, long extra = 0) => Network.Send(link.Down, () => link.Replica.Do(() =>
    {
        if (link.Replica._link == link && link.IsOpen)
        {
            link.HeardByReplica = World.Now;
            what();
        }
    }), extra);

    private void BeginBacklog()
    {
        _backlog.Clear();
        _backlogStart = Offset;
    }

    private void NoBacklog()
    {
        _backlog.Clear();
        _backlogStart = -1;
    }
}
