namespace RedisFailover.UnitTests.Simulation;

internal sealed partial class Simulation
{
    /// <summary>In so long what clients sent with the former K is answered, and masters have been asked since.</summary>
    private const long Settled = 3 * World.Second;

    private readonly List<Undo> _undo = [];

    /// <summary>How the cluster is found: replicas that follow a master, all empty, or replicas only.</summary>
    private void Prepare()
    {
        int how = _dice.Next(10);
        Commit? data = null;
        for (int i = 0; i < 10; i++)
        {
            data = new Commit(data, _ledger.NextId());
        }

        for (int i = 0; i < _nodes.Length; i++)
        {
            SimulatedRedis node = _nodes[i];
            if (node == _foreign)
            {
                var foreign = new Commit(new Commit(null, _ledger.NextId()), _ledger.NextId());
                _ledger.Foreign = foreign.Beginning;
                node.Prepare(null, foreign, "foreign", 5000);
                _world.At(_dice.Between(8, 14) * World.Second, () => Unless(node.IsUp, node.Start));
                continue;
            }

            switch (how)
            {
                case < 7:
                    node.Prepare(i == 0 ? null : _nodes[0].Address, data, "first", 1000);
                    break;
                case < 9:
                    node.Prepare(null, null, "", 0);
                    break;
                default:
                    node.Prepare(_nodes[(i + 1) % (_foreign is null ? _nodes.Length : _nodes.Length - 1)].Address, data, "first", 1000);
                    break;
            }

            node.Start();
        }

        _server.Start();
        foreach (SimulatedMonitor monitor in _monitors)
        {
            monitor.Start();
        }

        foreach (SimulatedClient client in _clients)
        {
            _server.Subscribe(client);
            client.Start();
        }
    }

    private static void Unless(bool condition, Action what)
    {
        if (!condition)
        {
            what();
        }
    }

    private void Begin(Fault fault)
    {
        SimulatedRedis node = Node(fault.Target);
        SimulatedMonitor monitor = Monitor(fault.Target);
        Process one = Any(fault.Target);
        Process other = Any(fault.Other);
        switch (fault.Kind)
        {
            case FaultKind.KillNode:
                Die(node, fault);
                Expect(node);
                break;
            case FaultKind.KillAllNodes:
                foreach (SimulatedRedis each in _nodes)
                {
                    Die(each, fault);
                }

                break;
            case FaultKind.CutPower:
                CutPower(node, fault);
                Expect(node);
                break;
            case FaultKind.CutAllPower:
                foreach (SimulatedRedis each in _nodes)
                {
                    CutPower(each, fault with { LosesData = fault.LosesData && each == node });
                }

                break;
            case FaultKind.KillInRewrite:
                KillInRewrite(fault);
                break;
            case FaultKind.PauseNode:
                Pause(node, false, fault.For);
                break;
            case FaultKind.KillMonitor:
            case FaultKind.StopMonitor:
                _world.Tell(monitor.Name, fault.Kind == FaultKind.KillMonitor ? "is killed" : "is stopped");
                if (fault.Kind == FaultKind.KillMonitor || monitor.IsPaused)
                {
                    monitor.Kill();
                }
                else if (monitor.IsUp)
                {
                    monitor.Stop();
                }

                Later(Math.Max(fault.For, 30 * World.Ms), () => Unless(monitor.IsUp, monitor.Start));
                break;
            case FaultKind.PauseMonitor:
                Pause(monitor, false, fault.For);
                break;
            case FaultKind.SuspendMonitor:
                Pause(monitor, true, fault.For);
                break;
            case FaultKind.LoseQuorum:
                _world.Tell("zk", "loses its quorum");
                _server.Pause(false);
                Later(fault.For, () =>
                {
                    _server.Recover();
                    _server.Resume();
                });
                break;
            case FaultKind.Cut:
                Cut(one.Place, other.Place, fault.For);
                Cut(other.Place, one.Place, fault.For);
                break;
            case FaultKind.CutOneWay:
                Cut(one.Place, other.Place, fault.For);
                break;
            case FaultKind.Isolate:
                Process apart = _calm ? node : one;
                foreach (Process each in Everyone().Where(p => p != apart))
                {
                    Cut(apart.Place, each.Place, fault.For);
                    Cut(each.Place, apart.Place, fault.For);
                }

                break;
            case FaultKind.SlowWay:
                Slow(one.Place, other.Place, fault);
                break;
            case FaultKind.SlowEverything:
                foreach (Process each in Everyone().Where(p => p != one))
                {
                    Slow(one.Place, each.Place, fault);
                    Slow(each.Place, one.Place, fault);
                }

                break;
            case FaultKind.JumpWallClock:
                // Back and a suspended machine at once is beyond what two clocks can tell.
                bool back = fault.LosesData && !Faults.Any(f => f.Kind == FaultKind.SuspendMonitor);
                _world.Tell(monitor.Name, $"wall clock jumps {(back ? "back" : "on")}");
                monitor.JumpWallClock(back ? -3600 * World.Second : 3600 * World.Second);
                break;
            case FaultKind.CutReplica:
                SimulatedRedis[] others = [.. _nodes.Where(n => n != node)];
                int replica = others[Math.Abs(fault.Other) % others.Length].Place;
                Cut(node.Place, replica, fault.For);
                Cut(replica, node.Place, fault.For);
                break;
            case FaultKind.SlowReplicas:
                foreach (SimulatedRedis each in _nodes)
                {
                    Slow(node.Place, each.Place, fault);
                }

                break;
            case FaultKind.SlowNews:
                foreach (SimulatedClient client in _clients)
                {
                    Slow(_server.Place, client.Place, fault);
                }

                break;
            case FaultKind.CutLeaderFromZooKeeper:
                Cut(monitor.Place, _server.Place, fault.For);
                if (!fault.LosesData)
                {
                    Cut(_server.Place, monitor.Place, fault.For);
                }

                break;
            case FaultKind.FillDisk:
                FillDisk(node, fault.For);
                break;
            case FaultKind.GoBack:
                node.TakeOlderDisk();
                Die(node, fault);
                break;
            case FaultKind.GoBackReplica:
                SimulatedRedis[] replicas = [.. _nodes.Where(n => n != node)];
                SimulatedRedis returning = replicas[Math.Abs(fault.Other) % replicas.Length];
                returning.TakeOlderDisk();
                Die(returning, fault);
                break;
            case FaultKind.KillAllButTheLast:
                SimulatedRedis last = _nodes.Where(n => n != node).OrderByDescending(n => n.IsUp).ThenBy(n => n.Offset).First();
                foreach (SimulatedRedis each in _nodes.Where(n => n != last))
                {
                    Die(each, fault);
                }

                break;
            case FaultKind.EndConnection:
                _world.Tell(monitor.Name, "loses its connection to ZooKeeper");
                Cut(monitor.Place, _server.Place, fault.For);
                Cut(_server.Place, monitor.Place, fault.For);
                monitor.LoseConnection();
                break;
            case FaultKind.EndAllConnections:
                _world.Tell("zk", "is gone, and ends all connections");
                _server.Pause(false);
                foreach (SimulatedMonitor each in _monitors)
                {
                    each.LoseConnection();
                }

                Later(Math.Min(fault.For, 8 * World.Second), () =>
                {
                    _server.Recover();
                    _server.Resume();
                });
                break;
            case FaultKind.Deny:
                Deny([node], _monitors, fault);
                break;
            case FaultKind.DenyOneMonitor:
                Deny(_nodes, [monitor], fault);
                break;
            case FaultKind.FillConnections:
                Unless(node.IsFull || !node.IsUp, () => Fill(node, fault));
                break;
            case FaultKind.ChangeQuorum:
                ChangeQuorum(fault);
                break;
            case FaultKind.RemoveNode:
                Remove(node, fault);
                break;
            case FaultKind.Ask:
            case FaultKind.AskForAny:
                bool byForce = fault is { Kind: FaultKind.Ask, LosesData: true };
                Ask(new OperatorRequest(NextRequest())
                {
                    Target = fault.Kind == FaultKind.Ask ? node.Address : null,
                    Force = byForce && !IsForeign(node),
                    By = "human",
                });
                break;
            case FaultKind.PauseFailover:
                Ask(new OperatorRequest(NextRequest()) { Change = new PauseFailover(TimeSpan.FromTicks(Math.Max(fault.For, World.Second))),
                    By = "human" });
                break;
            case FaultKind.ResumeFailover:
                Ask(new OperatorRequest(NextRequest()) { Change = new ResumeFailover(), By = "human" });
                break;
            case FaultKind.PromoteByHand:
                SimulatedRedis[] promotable = [.. _nodes.Where(n => n.IsUp && !n.IsMaster && !IsForeign(n))];
                Unless(promotable.Length == 0, () => ByHand(promotable[Math.Abs(fault.Other) % promotable.Length], null));
                break;
            case FaultKind.RepointByHand:
                SimulatedRedis[] masters = [.. _nodes.Where(n => n != node && n != _foreign && !IsForeign(n))];
                Unless(IsForeign(node) || masters.Length == 0, () => ByHand(node, masters[Math.Abs(fault.Other) % masters.Length]));
                break;
            case FaultKind.DeleteLeader:
                _world.Tell("human", "deletes the leader's znode");
                _server.Do(_server.DeleteLeader);
                break;
            case FaultKind.TouchTopology:
                _world.Tell("human", "writes the topology again as it is");
                _server.Do(_server.Touch);
                break;
            case FaultKind.Wish:
            case FaultKind.WishForAny:
                string wish = fault.Kind == FaultKind.Wish ? node.Address.ToString() : ZnodePaths.AnyReplica;
                _world.Tell("human", $"wishes {wish}");
                _server.Do(() => _server.SetWish(wish));
                break;
            default:
                throw new InvalidOperationException($"nobody knows how to do {fault.Kind}");
        }
    }

    private string NextRequest() => $"request-{_ledger.NextId():0000000000}";

    private void Ask(OperatorRequest request)
    {
        _world.Tell("human", request.Change is { } change ? $"asks: {change.Kind}"
            : $"asks for {request.Wish}{(request.Force ? ", by force" : "")} ({request.Id})");
        _server.Do(() => _server.Ask(request));
    }

    private void ByHand(SimulatedRedis node, SimulatedRedis? master)
    {
        _world.Tell("human", $"sends REPLICAOF {master?.Name ?? "NO ONE"} to {node.Name}");
        node.Do(() => node.ReplicaOfByHand(master));
    }

    private void CutPower(SimulatedRedis node, Fault fault)
    {
        Unless(!node.IsUp, node.LosePower);
        Die(node, fault);
    }

    /// <summary>A replica with an append-only file is killed, receives a full copy, and is killed again while it writes that.</summary>
    private void KillInRewrite(Fault fault)
    {
        SimulatedRedis[] those = [.. _nodes.Where(n => n is { Appends: true, IsMaster: false, IsUp: true } && !IsForeign(n))];
        if (those.Length == 0)
        {
            return;
        }

        SimulatedRedis node = those[Math.Abs(fault.Other) % those.Length];
        Die(node, fault);
        node.WhenRewriting = () => Later(_dice.Between(0, World.Second), () => Die(node, fault));
        Later(20 * World.Second, () => node.WhenRewriting = null);
    }

    private void Die(SimulatedRedis node, Fault fault)
    {
        if (!node.IsUp)
        {
            return;
        }

        _world.Tell(node.Name, $"is killed{(fault.LosesData ? " and its data are lost" : "")}");
        if (fault.LosesData && node.Data?.Beginning != _ledger.Foreign)
        {
            node.LoseDisk();
        }

        node.Kill();
        Later(fault.For, () => Unless(node.IsUp, node.Start));
    }

    private void Deny(IReadOnlyList<SimulatedRedis> nodes, IReadOnlyList<SimulatedMonitor> monitors, Fault fault)
    {
        (SimulatedRedis Node, SimulatedMonitor[] Monitors)[] those =
            [.. nodes.Select(n => (n, monitors.Where(m => !n.Denied.Contains(m)).ToArray()))];
        string names = $"refused by {string.Join(" and ", nodes.Select(n => n.Name))}";
        _world.Tell(string.Join(' ', monitors.Select(m => m.Name)), names);
        foreach ((SimulatedRedis node, SimulatedMonitor[] denied) in those)
        {
            node.Deny(denied, endsConnections: fault.LosesData);
        }

        Later(fault.For, () =>
        {
            _world.Tell(string.Join(' ', monitors.Select(m => m.Name)), $"no longer {names}");
            foreach ((SimulatedRedis node, SimulatedMonitor[] denied) in those)
            {
                node.Allow(denied);
            }
        });
    }

    private void Fill(SimulatedRedis node, Fault fault)
    {
        _world.Tell(node.Name, "takes no more connections");
        node.Fill(endsConnections: fault.LosesData);
        Later(fault.For, () =>
        {
            _world.Tell(node.Name, "takes connections again");
            node.Empty();
        });
    }

    /// <summary>Applications wait for more replicas before the monitors count on it, and for fewer after they do.</summary>
    private void ChangeQuorum(Fault fault)
    {
        int next = _configuration.Policy.WriteQuorum == 1 ? 2 : 1;
        if (!_ledger.IsWriteSafe || _nodes.Length < 3 || _configuration.WaitFor != _configuration.Policy.WriteQuorum)
        {
            return;
        }

        _world.Tell("human", $"sets the write quorum to {next}");
        bool rises = next > _configuration.Policy.WriteQuorum;
        if (rises)
        {
            _configuration.Wait(next);
        }

        _world.At(_world.Now + (rises ? Settled : 0), () => Roll(_configuration.Policy with { WriteQuorum = next }, fault));
        _world.At(_world.Now + (2 * Settled), () => _configuration.Wait(next));
    }

    private void Remove(SimulatedRedis node, Fault fault)
    {
        if (_configuration.Policy.Nodes.Length < 3 || !_configuration.Policy.Nodes.Contains(node.Address))
        {
            return;
        }

        _world.Tell("human", $"takes {node.Name} out of the configuration");
        Roll(_configuration.Policy with { Nodes = _configuration.Policy.Nodes.Remove(node.Address) }, fault);
        Later(fault.For, () =>
        {
            _world.Tell("human", $"puts {node.Name} back into the configuration");
            Roll(_configuration.Policy with { Nodes =
                [.. _policy.Nodes.Where(n => n == node.Address || _configuration.Policy.Nodes.Contains(n))] }, fault);
        });
    }

    /// <summary>Restarts the monitors one after the other.</summary>
    private void Roll(FailoverPolicy next, Fault fault)
    {
        _configuration.Change(next);
        for (int i = 0; i < _monitors.Length; i++)
        {
            SimulatedMonitor monitor = _monitors[(i + Math.Abs(fault.Other)) % _monitors.Length];
            _world.At(_world.Now + (i * (fault.LosesData ? World.Second : 100 * World.Ms)), ()
                => Unless(!monitor.IsUp || monitor.Policy == _configuration.Policy, () => Restart(monitor)));
        }
    }

    private void Restart(SimulatedMonitor monitor)
    {
        _world.Tell(monitor.Name, "is restarted with another configuration");
        if (monitor.IsPaused)
        {
            monitor.Kill();
        }
        else
        {
            monitor.Stop();
        }

        Later(100 * World.Ms, () => Unless(monitor.IsUp, monitor.Start));
    }

    private void FillDisk(SimulatedRedis node, long length)
    {
        if (node.CannotSave)
        {
            return;
        }

        _world.Tell(node.Name, "cannot save: its disk is full");
        node.CannotSave = true;
        bool isOver = false;
        Later(length, () =>
        {
            _world.Tell(node.Name, "can save again");
            node.CannotSave = false;
            isOver = true;
        });
        if (_calm)
        {
            // Nothing else is amiss, so a replica takes over.
            _world.At(_world.Now + _policy.MisconfTimeout.Ticks + Relieved, ()
                => Unless(isOver || !node.IsWell(Relieved) || !IsReplaceable(node), () => Unrelieved(node)));
        }
    }

    private void Pause(Process process, bool machine, long length)
    {
        if (process.IsUp && !process.IsPaused)
        {
            _world.Tell(process.Name, machine ? "is suspended" : "is held up");
            process.Pause(machine);
            Later(length, () =>
            {
                _world.Tell(process.Name, "goes on");
                process.Resume();
            });
        }
    }

    private void Cut(int from, int to, long length)
    {
        if (from == to)
        {
            return;
        }

        _world.Tell("net", $"{At(from)} no longer reaches {At(to)}");
        _network.Cut(from, to);
        Later(length, () =>
        {
            _world.Tell("net", $"{At(from)} reaches {At(to)} again");
            _network.Heal(from, to);
        });
    }

    private void Slow(int from, int to, Fault fault)
    {
        if (from == to)
        {
            return;
        }

        long by = (fault.LosesData ? 1500 : 200) * World.Ms;
        _world.Tell("net", $"{At(from)} reaches {At(to)} slowly");
        _network.Slow(from, to, by);
        Later(fault.For, () => _network.Slow(from, to, -by));
    }

    private void Later(long after, Action what)
    {
        var undo = new Undo(what);
        _undo.Add(undo);
        _world.At(_world.Now + after, undo.Do);
    }

    private void Heal()
    {
        _world.Tell("all", "is healed");
        _ledger.Healed();
        foreach (Undo undo in _undo.ToArray())
        {
            undo.Do();
        }

        _undo.Clear();
        if (_server.PausedSince is not null)
        {
            Ask(new OperatorRequest(NextRequest()) { Change = new ResumeFailover(), By = "human" });
        }

        foreach (SimulatedRedis node in _nodes)
        {
            Unless(node.IsUp, node.Start);
        }

        foreach (SimulatedMonitor monitor in _monitors)
        {
            Unless(!monitor.IsStopping, monitor.Kill);
            Unless(monitor.IsUp, monitor.Start);
        }
    }

    private SimulatedRedis Node(int which)
        => which == Fault.Ruling && _server.Topology?.Master is { } master ? _ledger.Node(master) : _nodes[Math.Abs(which) % _nodes.Length];

    private SimulatedMonitor Monitor(int which)
        => which == Fault.Ruling ? _monitors.FirstOrDefault(m => m.Lead is not null) ?? _monitors[0] : _monitors[which % _monitors.Length];

    /// <summary>The ruling one of the two kinds, as it comes.</summary>
    private Process Any(int which)
    {
        if (which == Fault.Ruling)
        {
            return _dice.Percent(50) ? Node(which) : Monitor(which);
        }

        Process[] everyone = [.. Everyone()];
        return everyone[which % everyone.Length];
    }

    private IEnumerable<Process> Everyone() => [_server, .. _monitors, .. _nodes, .. _clients];

    private string At(int place) => Everyone().First(p => p.Place == place).Name;

    private sealed class Undo(Action what)
    {
        private bool _isDone;

        internal void Do()
        {
            if (!_isDone)
            {
                _isDone = true;
                what();
            }
        }
    }
}
