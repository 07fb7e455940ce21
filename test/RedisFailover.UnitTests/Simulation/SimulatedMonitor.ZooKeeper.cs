using Moment = global::RedisFailover.ZooKeeper.Moment;

namespace RedisFailover.UnitTests.Simulation;

internal sealed partial class SimulatedMonitor
{
    internal SimulatedSession? Session => _client?.Session;

    internal void OnSession(SimulatedSession session)
    {
        _isEntered = false;
        if (_reportedAt >= 0)
        {
            Enter();
        }

        Campaign();
    }

    /// <summary>The connection to ZooKeeper is there, or is not; what is no change is not told.</summary>
    internal void OnConnection(bool isThere)
    {
        if (isThere == _isWithoutZooKeeper)
        {
            _isWithoutZooKeeper = !isThere;
            Observe(isThere ? new ZooKeeperBack(Clock) : new ZooKeeperLost(Clock));
        }
    }

    /// <summary>The server ends the connection: that is noticed at once, while a lease still holds.</summary>
    internal void LoseConnection() => Do(() => _client?.Lose());

    internal void OnSessionEnded()
    {
        _isEntered = false;
        if (Lead is { } lead)
        {
            End(lead);
        }
    }

    /// <summary>The leader's znode changed: whoever waits tries, whoever leads looks whether it is still there.</summary>
    internal void OnLeadEvent()
    {
        if (Lead is not { } lead)
        {
            Campaign();
            return;
        }

        _client!.Call(s => server.Leader == s, mine =>
        {
            if (!mine)
            {
                End(lead);
            }
        }, _ => { });
    }

    internal void ReadNodes()
        => _client!.Call(_ => (server.Nodes, server.Version), read => Observe(Read(read.Nodes, read.Version, 0, synced: false)), _ => { });

    internal void ReadWish() => _client!.Call(_ => server.Wish, wish => Observe(new OperatorWished(Clock, wish)), _ => { });

    internal void ReadRequests()
        => _client!.Call(_ => server.Requests, requests => Observe(new RequestsSeen(Clock, requests)), _ => { });

    internal void ReadConfig()
        => _client!.Call(
            _ => (server.Config, server.ConfigVersion), read => Observe(Read(read.Config, read.ConfigVersion, synced: false)), _ => { });

    internal void ReadMonitors() => _client!.Call(_ => server.Monitors.Where(m => m != Name).ToArray(), names =>
    {
        foreach (string gone in _present.Except(names).Order(StringComparer.Ordinal).ToArray())
        {
            _present.Remove(gone);
            Observe(new MonitorLeft(Clock, gone));
        }

        foreach (string came in names.Where(_present.Add))
        {
            Observe(new MonitorCame(Clock, came));
            ReadReport(came);
        }
    }, _ => { });

    /// <summary>Only a leader follows what the others see.</summary>
    internal void ReadReport(string? name)
    {
        if (Lead is null)
        {
            return;
        }

        foreach (string one in name is null ? [.. _present] : (string[])[name])
        {
            if (one == Name)
            {
                continue;
            }

            _client!.Call(_ => server.Report(one), report =>
            {
                if (report is not null && Lead is not null)
                {
                    Observe(new MonitorReported(Clock, one, report));
                }
            }, _ => { });
        }
    }

    /// <summary>
    /// After giving up leadership it stands back for a while, longer each time, or until it sees more; see ElectionBackoff.
    /// </summary>
    private void Abstain()
    {
        bool again = _abstainedAt is { } at && Clock - at < TimeSpan.FromMinutes(5);
        _abstention = again ? TimeSpan.FromTicks(Math.Min(2 * _abstention.Ticks, 60 * World.Second)) : Policy.ReachabilityPatience;
        _abstainedAt = Clock;
        _saw = Reached();
        _abstains = true;
        TimeSpan mine = _abstention;
        After(mine.Ticks, () =>
        {
            if (_abstains && Clock - _abstainedAt >= mine)
            {
                _abstains = false;
                Campaign();
            }
        });
    }

    /// <summary>How many of the configured nodes answer.</summary>
    private int Reached() => View.Nodes.Values.Count(n => n.Condition == NodeCondition.Online && Policy.Nodes.Contains(n.Address));

    private void Campaign()
    {
        if (Lead is not null || Session is null || _abstains)
        {
            return;
        }

        var sentAt = Moment.Now(Time!);
        _client!.Call(server.TryLead, won =>
        {
            if (won is not { } office || Lead is not null)
            {
                return;
            }

            var lead = new Lead(Time!, office.Term);
            if (!office.Already)
            {
                lead.Lease.Renew(sentAt, TimeSpan.FromTicks(settings.ZooKeeper.SessionTimeout / 2));
                Take(lead);
                return;
            }

            // What was found to be held proves nothing about now.
            Commit(lead, _ => true, _ => Take(lead), _ => Campaign());
        }, why =>
        {
            if (why == "ConnectionLoss")
            {
                Campaign();
            }
        });
    }

    private void Take(Lead lead)
    {
        if (Lead is not null || Session is null)
        {
            return;
        }

        Lead = lead;
        Tell($"leads, term {lead.Term}");
        Observe(new LeadershipGained(Clock, lead.Term));
        ReadReport(null);
        Renew(lead);
        OnLeadEvent();
    }

    private void Renew(Lead lead)
    {
        if (lead.IsOver)
        {
            return;
        }

        long T = settings.ZooKeeper.SessionTimeout;
        After(lead.Lease.Remaining.Ticks > T / 4 ? T / 6 : 0, () =>
        {
            if (!lead.IsOver)
            {
                Commit(lead, _ => true, _ => Renew(lead), why => After(why == "ConnectionLoss" ? World.Ms : T / 6, () => Renew(lead)));
            }
        });
    }

    /// <summary>A multi behind the fence. Success renews the lease; a fence that does not hold ends leadership.</summary>
    private void Commit<T>(Lead lead, Func<SimulatedSession, T> run, Action<T> done, Action<string> failed)
    {
        var sentAt = Moment.Now(Time!);
        _client!.Call(s => server.Term == lead.Term ? (Held: true, Result: run(s)) : (Held: false, Result: default(T)!), answer =>
        {
            if (!answer.Held)
            {
                End(lead);
                failed("another was elected");
                return;
            }

            lead.Lease.Renew(sentAt, TimeSpan.FromTicks(settings.ZooKeeper.SessionTimeout / 2));
            done(answer.Result);
        }, failed);
    }

    private void End(Lead lead, Action? given = null, Action<string>? failed = null)
    {
        if (lead.IsOver)
        {
            return;
        }

        lead.IsOver = true;
        lead.Lease.End();
        foreach (Action lost in lead.Lost.ToArray())
        {
            lost();
        }

        if (Lead != lead)
        {
            return;
        }

        Tell($"leads no more, term {lead.Term}");
        Lead = null;
        Observe(new LeadershipLost(Clock));
        _client!.Call(s =>
        {
            if (server.Term == lead.Term)
            {
                server.GiveUpLead(s);
            }

            return true;
        }, _ => given?.Invoke(), why => failed?.Invoke(why));
        Campaign();
    }

    private void Enter()
    {
        if (Session is not { } session)
        {
            return;
        }

        MonitorReport report = _report;
        _client!.Call(s => server.Enter(s, Name, report), entered =>
        {
            if (!entered && Session == session && !_isEntered)
            {
                After(200 * World.Ms, Enter);
            }

            _isEntered |= entered;
        }, why =>
        {
            if (why == "ConnectionLoss")
            {
                Enter();
            }
        });
    }

    private ConfigRead Read(ClusterConfig? config, int version, bool synced)
        => new(Clock, version, config, null, synced) { PauseLeft = config?.Pause?.Until - server.Wall };

    private TopologyRead Read(byte[]? nodes, int version, long lastEpoch, bool synced)
    {
        if (nodes is null)
        {
            return new TopologyRead(Clock, version, null, null, lastEpoch, synced);
        }

        try
        {
            Topology topology = TopologyJson.Parse(nodes);
            return new TopologyRead(Clock, version, topology, null, lastEpoch, synced)
            {
                ChangeAge = server.Wall - topology.Intent?.Since,
            };
        }
        catch (FormatException e)
        {
            return new TopologyRead(Clock, version, null, e.Message, lastEpoch, synced);
        }
    }
}
