using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.ZooKeeper;

/// <summary>A process that stands for election at a <see cref="ModelServer"/>, with a clock of its own.</summary>
internal sealed class Party : IAsyncDisposable
{
    internal const string Term = "/term";
    internal const string Leader = "/leader";
    internal const string Heartbeats = "/heartbeats";

    private readonly ModelServer _server;
    private long _session;

    private Party(ModelServer server, ZooKeeperClient client, LeaseKeeper keeper, LeaderElection election, string name)
        => (_server, Client, Keeper, Election, Name) = (server, client, keeper, election, name);

    internal string Name { get; }

    internal ZooKeeperClient Client { get; }

    internal LeaseKeeper Keeper { get; }

    internal LeaderElection Election { get; }

    /// <summary>Whether the rest of the process works, as far as the beats are told.</summary>
    internal bool IsAlive { get; set; } = true;

    /// <summary>Its session, also when that has ended; 0 before there is one.</summary>
    internal long Session => _session = Client.Session?.SessionId ?? _session;

    internal static Party Start(ModelServer server, string name, TimeProvider? time = null, int leaseMs = 500, RecordedLog? log = null)
    {
        var client = new ZooKeeperClient(server.Options(time) with { LoggerFactory = log ?? RecordedLog.Instance });
        Party? party = null;
        var keeper = new LeaseKeeper(client, new LeaseOptions
        {
            HeartbeatsPath = Heartbeats,
            Owner = name,
            Length = TimeSpan.FromMilliseconds(leaseMs),
            IsAlive = () => party?.IsAlive != false,
        });
        var election = new LeaderElection(keeper, new LeaderElectionOptions
        {
            LeaderPath = Leader, TermPath = Term, CandidateId = name, LeaderData = () => System.Text.Encoding.UTF8.GetBytes(name),
        });
        return party = new Party(server, client, keeper, election, name);
    }

    /// <summary>Its heartbeat's path; null before it has one.</summary>
    internal string? Heart(ModelServer server)
        => server.Children(Heartbeats).Where(n => n.StartsWith(Name + "-", StringComparison.Ordinal)).Select(n => $"{Heartbeats}/{n}")
            .LastOrDefault();

    public ValueTask DisposeAsync()
    {
        _server.EndHolding();
        return Client.DisposeAsync();
    }
}
