using System.Collections.Immutable;
using RedisFailover.Monitor.Hosting;
using RedisFailover.ZooKeeper;
using Moment = global::RedisFailover.ZooKeeper.Moment;

namespace RedisFailover.UnitTests.Simulation;

internal sealed partial class SimulatedMonitor
{
    private readonly List<TaskCompletionSource> _sessions = [];

    internal SimulatedSession? Session => _client?.Session;

    internal void OnSession(SimulatedSession session)
    {
        _isEntered = false;
        Enter();
        TaskCompletionSource[] waiting = [.. _sessions];
        _sessions.Clear();
        foreach (TaskCompletionSource one in waiting)
        {
            one.TrySetResult();
        }

        Campaign();
    }

    async ValueTask<IZnodes> IClusterHost.GetSessionAsync(CancellationToken cancellationToken)
    {
        while (Session is null)
        {
            var comes = new TaskCompletionSource();
            _sessions.Add(comes);
            await using CancellationTokenRegistration stop =
                cancellationToken.UnsafeRegister(_ => comes.TrySetCanceled(cancellationToken), null);
            await comes.Task;
        }

        return new Znodes(this);
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

    internal void ReadNodes() => Read(SimulatedZooKeeper.Paths.Nodes, znode => Observe(_loop!.Interpret(znode)));

    internal void ReadWish() => Read(SimulatedZooKeeper.Paths.ManualFailover, _loop!.SeeWish);

    internal void ReadConfig()
        => Read(SimulatedZooKeeper.Paths.Config, znode => Observe(_loop!.Config.Interpret(znode, synced: false)));

    internal void ReadRequests() => Run(() => _loop!.Inbox.SeeAsync(CancellationToken.None));

    private void Read(string path, Action<Znode?> see) => _client!.Call(_ => server.Get(path), see, _ => { });

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

    private void Campaign()
    {
        if (_isStanding)
        {
            return;
        }

        _isStanding = true;
        Run(async () =>
        {
            await _loop!.Backoff.WaitAsync(CancellationToken.None);
            _isStanding = false;
            Stand();
        });
    }

    private void Stand()
    {
        if (Lead is not null || Session is not { } session)
        {
            return;
        }

        var sentAt = Moment.Now(Time!);
        _client!.Call(server.TryLead, won =>
        {
            if (won is not { } office || Lead is not null || Session != session)
            {
                return;
            }

            var lead = new Lead(this, Time!, session, office.Term);
            if (!office.Already)
            {
                lead.Lease.Renew(sentAt, TimeSpan.FromTicks(settings.ZooKeeper.SessionTimeout / 2));
                Take(lead);
                return;
            }

            // What was found to be held proves nothing about now.
            Beat(lead, () => Take(lead), _ => Campaign());
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

        Lead = LastLead = lead;
        Tell($"leads, term {lead.Term}");
        _loop!.BeginLeading(lead);
        _loop.Problems.Inherit(lead.Term, []);
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
                Beat(lead, () => Renew(lead), why => After(why == "ConnectionLoss" ? World.Ms : T / 6, () => Renew(lead)));
            }
        });
    }

    /// <summary>A heartbeat behind the fence. Success renews the lease; a fence that does not hold ends leadership.</summary>
    private void Beat(Lead lead, Action done, Action<string> failed)
    {
        var sentAt = Moment.Now(Time!);
        _client!.Call(_ => server.Term == lead.Term, isHeld =>
        {
            if (!isHeld)
            {
                End(lead);
                failed("another was elected");
                return;
            }

            lead.Lease.Renew(sentAt, TimeSpan.FromTicks(settings.ZooKeeper.SessionTimeout / 2));
            done();
        }, failed);
    }

    /// <summary>As Leadership: a multi behind the fence, in the lead's own session.</summary>
    internal async Task<ImmutableArray<ZnodeOperationResult>> CommitAsync(
        Lead lead, ImmutableArray<ZnodeOperation> operations, CancellationToken cancellationToken)
    {
        (ImmutableArray<ZnodeOperationResult> results, (int Index, ZooKeeperErrorCode Code)? failure) = await AskAsync(
            lead.Session, "multi", null,
            s => server.Multi(s, operations.Insert(0, ZnodeOperation.Check(SimulatedZooKeeper.Paths.Term, lead.Term))), cancellationToken);
        if (failure is not { } refused)
        {
            return results.RemoveAt(0);
        }

        if (refused.Index == 0)
        {
            End(lead);
        }

        throw new ZooKeeperException(refused.Code, "multi", null, failedIndex: refused.Index - 1);
    }

    internal Task ResignAsync(Lead lead)
    {
        if (lead.IsOver)
        {
            return Task.CompletedTask;
        }

        var given = new TaskCompletionSource();
        End(lead, () => given.TrySetResult(), why => given.TrySetException(Failure(why, "multi", null)));
        return given.Task;
    }

    /// <summary>Asks the server something in a session; the answer goes on in the event in which it comes.</summary>
    private async Task<T> AskAsync<T>(
        SimulatedSession? session, string what, string? path, Func<SimulatedSession, T> run, CancellationToken cancellationToken)
    {
        if (session is null || session != Session)
        {
            throw Failure("SessionExpired", what, path);
        }

        var answer = new TaskCompletionSource<T>();
        _client!.Call(run, result => answer.TrySetResult(result), why => answer.TrySetException(Failure(why, what, path)));
        await using CancellationTokenRegistration stop =
            cancellationToken.UnsafeRegister(_ => answer.TrySetCanceled(cancellationToken), null);
        return await answer.Task;
    }

    private static ZooKeeperException Failure(string why, string what, string? path)
        => new(Enum.Parse<ZooKeeperErrorCode>(why), what, path, mayHaveBeenApplied: why == "ConnectionLoss");

    private void End(Lead lead, Action? given = null, Action<string>? failed = null)
    {
        if (lead.IsOver)
        {
            return;
        }

        lead.IsOver = true;
        lead.Lease.End();
        lead.Lose();
        if (Lead != lead)
        {
            return;
        }

        Tell($"leads no more, term {lead.Term}");
        Lead = null;
        _loop!.EndLeading();
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

    internal static bool IsIn(IZnodes znodes, SimulatedSession session) => (znodes as Znodes)?.Session == session;

    /// <summary>What is read of the ensemble in one session.</summary>
    private sealed class Znodes(SimulatedMonitor monitor) : IZnodes
    {
        private readonly SimulatedZooKeeper _server = monitor.Ledger.Server!;

        internal SimulatedSession? Session { get; } = monitor.Session;

        public async ValueTask<Znode> GetDataAsync(
            string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default)
            => await monitor.AskAsync(Session, "getData", path, _ => _server.Get(path), cancellationToken)
                ?? throw new ZooKeeperException(ZooKeeperErrorCode.NoNode, "getData", path);

        public async Task<ZnodeChildren> GetChildrenAsync(
            string path, Action<WatchedEvent>? watcher = null, CancellationToken cancellationToken = default)
            => new(await monitor.AskAsync(Session, "getChildren", path, _ => _server.Children(path), cancellationToken), default);

        public Task SyncAsync(string path, CancellationToken cancellationToken = default)
            => monitor.AskAsync(Session, "sync", path, _ => true, cancellationToken);
    }
}
