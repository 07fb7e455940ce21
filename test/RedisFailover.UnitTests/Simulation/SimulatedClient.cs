namespace RedisFailover.UnitTests.Simulation;

/// <summary>
/// An application: writes one after the other to whom it believes to be the master, by the topology that it saw last; refuses a lower
/// epoch; holds its writes while there is no master.
/// </summary>
internal sealed class SimulatedClient(World world, Network network, int place, string name, Dice dice, SimulatedZooKeeper server,
    Ledger ledger, long pace)
    : Process(world, network, place, name)
{
    private readonly Pipe _news = new(server.Place, place);
    private readonly Dictionary<NodeAddress, (NodeConnection Connection, bool[] IsReady)> _connections = [];
    private int _attempt;

    internal Topology Known { get; private set; } = Topology.None;

    internal int KnownVersion { get; private set; } = -1;

    internal bool IsQuiet { get; set; }

    /// <summary>The znode changed: told by a watch, late, in order.</summary>
    internal void Told(Topology topology, int version) => Network.Send(_news, () => Do(() =>
    {
        Ledger.Told(this, topology, version);
        if (version > KnownVersion && topology.Epoch >= Known.Epoch)
        {
            (Known, KnownVersion) = (topology, version);
        }
    }));

    protected override void Started() => Again();

    private void Again() => After(dice.Between(pace / 4, pace), Next);

    private void Next()
    {
        if (IsQuiet || Known.Master is not { } master)
        {
            Again();
            return;
        }

        SimulatedRedis node = ledger.Node(master);
        if (!_connections.TryGetValue(master, out (NodeConnection Connection, bool[] IsReady) link) || !link.Connection.IsOpen)
        {
            bool[] ready = [false];
            link = (new NodeConnection(this, node), ready);
            _connections[master] = link;
            link.Connection.Connect(() => ready[0] = true, () => { }, () => { });
            Again();
            return;
        }

        if (!link.IsReady[0])
        {
            Again();
            return;
        }

        int attempt = ++_attempt;
        var write = new Write(ledger.NextId(), this, dice.Percent(40)) { KnownEpoch = Known.Epoch, WaitFor = ledger.WaitFor };
        NodeConnection connection = link.Connection;
        connection.Send(answer => node.Write(write, connection, error => answer(() =>
        {
            if (error is null)
            {
                ledger.Acknowledged(this, write);
            }

            if (attempt == _attempt)
            {
                _attempt++;
                Again();
            }
        })));
        After(World.Second, () =>
        {
            if (attempt == _attempt)
            {
                _attempt++;
                connection.Abandon();
                Again();
            }
        });
    }

    /// <summary>One write and what became of it.</summary>
    internal sealed class Write(int number, SimulatedClient by, bool waits)
    {
        internal int Number => number;

        internal SimulatedClient By => by;

        /// <summary>Whether WAIT K follows it; K is 1 without write safety.</summary>
        internal bool Waits => waits;

        internal long KnownEpoch { get; init; }

        /// <summary>K of its WAIT K.</summary>
        internal int WaitFor { get; init; }

        internal Commit? Made { get; set; }

        internal SimulatedRedis? On { get; set; }

        /// <summary>When the process began that took it.</summary>
        internal long RunBeganAt { get; set; }

        internal Action<string?>? Answer { get; set; }

        /// <summary>Whether the client had the topology of the moment when it was answered.</summary>
        internal bool WasCurrent { get; set; }

        /// <summary>Whether so many replicas had it.</summary>
        internal bool Replicated { get; set; }
    }
}
