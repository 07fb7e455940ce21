namespace RedisFailover.UnitTests.Simulation;

/// <summary>A monitor's client of ZooKeeper: one session after the other, pings, losses of the connection, watches.</summary>
internal sealed class SimulatedZooKeeperClient(SimulatedMonitor monitor, SimulatedZooKeeper server, Dice dice, ZooKeeperSettings settings)
{
    private readonly int _life = monitor.Life;
    private readonly List<Pending> _pending = [];
    private readonly List<Pending> _unsent = [];
    private Pipe _up = new(monitor.Place, server.Place);
    private Pipe _down = new(server.Place, monitor.Place);
    private int _connection;
    private bool _isConnected;
    private long _heardAt;
    private long _lostAt;
    private long _pingedAt;

    internal SimulatedMonitor Monitor => monitor;

    internal SimulatedSession? Session { get; private set; }

    internal Action NodesChanged => monitor.ReadNodes;

    internal Action WishChanged => monitor.ReadWish;

    internal Action RequestsChanged => monitor.ReadRequests;

    internal Action ConfigChanged => monitor.ReadConfig;

    internal Action MonitorsChanged => monitor.ReadMonitors;

    internal Action LeadVacant => monitor.OnLeadEvent;

    internal Action ReportChanged(string? name) => () => monitor.ReadReport(name);

    internal void Start()
    {
        _lostAt = monitor.Clock.Ticks;
        Connect();
        Check();
    }

    /// <summary>Sends a watch event of the server's, on the connection of this moment.</summary>
    internal void Told(SimulatedSession session, Func<SimulatedZooKeeperClient, Action> what)
    {
        int connection = session.Connection;
        monitor.Network.Send(_down, () => monitor.Do(() =>
        {
            if (IsMine(connection) && _isConnected)
            {
                _heardAt = monitor.Clock.Ticks;
                what(this)();
            }
        }));
    }

    /// <summary>Asks the server something. It fails with the connection (then it may have been done) or with the session.</summary>
    internal void Call<T>(Func<SimulatedSession, T> run, Action<T> answered, Action<string> failed)
    {
        if (Session is not { } session)
        {
            monitor.After(0, () => failed("SessionExpired"));
            return;
        }

        var pending = new Pending(failed);
        pending.Send = () =>
        {
            int connection = _connection;
            Pipe down = _down;
            _pending.Add(pending);
            monitor.Network.Send(_up, () => server.Do(() =>
            {
                if (session.Connection != connection)
                {
                    return;
                }

                session.HeardAt = server.World.Now;
                bool ended = session.HasEnded;
                T? result = ended ? default : run(session);
                monitor.Network.Send(down, () => monitor.Do(() =>
                {
                    if (!IsMine(connection) || !_isConnected || !_pending.Remove(pending))
                    {
                        return;
                    }

                    _heardAt = monitor.Clock.Ticks;
                    if (ended)
                    {
                        _pending.Add(pending);
                        End();
                    }
                    else
                    {
                        answered(result!);
                    }
                }));
            }));
        };

        if (_isConnected)
        {
            pending.Send();
        }
        else
        {
            _unsent.Add(pending);
        }
    }

    private void Connect()
    {
        int connection = ++_connection;
        _up = new Pipe(monitor.Place, server.Place);
        _down = new Pipe(server.Place, monitor.Place);
        Pipe down = _down;
        SimulatedSession? wanted = Session;
        monitor.Network.Send(_up, () => server.Do(() =>
        {
            bool expired = wanted is { HasEnded: true };
            if (wanted is not null && wanted.Connection > connection)
            {
                return;
            }

            SimulatedSession? session = expired ? null : wanted ?? server.Open(this);
            if (session is not null)
            {
                session.HeardAt = server.World.Now;
                session.Connection = connection;
            }

            monitor.Network.Send(down, () => monitor.Do(() =>
            {
                if (IsMine(connection) && !_isConnected)
                {
                    Connected(session);
                }
            }));
            if (session is not null && down == _down)
            {
                SimulatedZooKeeper.Watch(session);
            }
        }));
        monitor.After(settings.SessionTimeout / 2, () =>
        {
            if (connection == _connection && !_isConnected)
            {
                Connect();
            }
        });
    }

    private void Connected(SimulatedSession? session)
    {
        if (session is null)
        {
            End();
            return;
        }

        _isConnected = true;
        monitor.OnConnection(isThere: true);
        _heardAt = _pingedAt = monitor.Clock.Ticks;
        bool isNew = Session != session;
        Session = session;
        Pending[] unsent = [.. _unsent];
        _unsent.Clear();
        foreach (Pending pending in unsent)
        {
            pending.Send!();
        }

        if (isNew)
        {
            monitor.OnSession(session);
        }
    }

    private void Check()
    {
        long now = monitor.Clock.Ticks;
        if (_isConnected && now - _heardAt > settings.SessionTimeout * 2 / 3)
        {
            Lose();
        }
        else if (_isConnected && now - _pingedAt >= settings.SessionTimeout / 3)
        {
            _pingedAt = now;
            Call(_ => true, _ => { }, _ => { });
        }
        else if (!_isConnected && Session is not null && now - _lostAt > settings.SessionTimeout * 4 / 3)
        {
            End();
        }

        monitor.After(settings.SessionTimeout / 12, Check);
    }

    /// <summary>The connection ends; the session may live on.</summary>
    internal void Lose()
    {
        if (!_isConnected)
        {
            return;
        }

        _isConnected = false;
        _lostAt = monitor.Clock.Ticks;
        monitor.OnConnection(isThere: false);
        Fail(_pending, "ConnectionLoss");
        int lost = _connection;
        monitor.After(dice.Between(0, 100 * World.Ms), () =>
        {
            if (lost == _connection && !_isConnected)
            {
                Connect();
            }
        });
    }

    /// <summary>What was sent to a process that has died meanwhile does not reach its successor.</summary>
    private bool IsMine(int connection) => connection == _connection && _life == monitor.Life;

    private void End()
    {
        _isConnected = false;
        _lostAt = monitor.Clock.Ticks;
        bool had = Session is not null;
        Session = null;
        monitor.OnConnection(isThere: false);
        if (had)
        {
            monitor.OnSessionEnded();
        }

        Fail(_pending, "SessionExpired");
        Fail(_unsent, "SessionExpired");
        Connect();
    }

    private static void Fail(List<Pending> those, string why)
    {
        Pending[] failing = [.. those];
        those.Clear();
        foreach (Pending pending in failing)
        {
            pending.Failed(why);
        }
    }

    private sealed class Pending(Action<string> failed)
    {
        internal Action<string> Failed => failed;

        internal Action? Send { get; set; }
    }
}
