using System.Collections.Immutable;
using System.Globalization;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using RedisFailover.ZooKeeper;

namespace RedisFailover.IntegrationTests.Operation;

/// <summary>Everything is secured: TLS with certificates on both sides to Redis and ZooKeeper, passwords, rights on the znodes.</summary>
internal sealed class SecuredCluster : IAsyncDisposable
{
    internal const string Root = "/secured";
    private readonly List<(RedisServer Server, NodeAddress Address)> _redis = [];
    private readonly List<MonitorProcess> _monitors = [];
    private ZooKeeperServer? _zooKeeper;
    private ZooKeeperSession? _session;
    private int _securePort;

    private SecuredCluster(Certificates certificates) => Certificates = certificates;

    internal Certificates Certificates { get; }

    internal IReadOnlyList<MonitorProcess> Monitors => _monitors;

    internal IReadOnlyList<(RedisServer Server, NodeAddress Address)> Redis => _redis;

    /// <summary>A session of the monitors' own, over the port without TLS.</summary>
    internal ZooKeeperSession Session => _session!;

    internal string PasswordFile => Certificates.File("redis-password");

    internal string MonitorsAuth => Certificates.File("monitors-auth");

    internal string OperatorsAuth => Certificates.File("operators-auth");

    internal string ConnectionString => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_securePort}{Root}");

    internal ZooKeeperServer ZooKeeper => _zooKeeper!;

    internal ImmutableDictionary<string, string?> ToolEnvironment { get; private set; } = ImmutableDictionary<string, string?>.Empty;

    internal FailoverOptions ClientOptions => new()
    {
        PasswordFile = PasswordFile,
        Tls = Tls,
        ZooKeeperTls = Tls,
        ConnectTimeout = TimeSpan.FromSeconds(30),
    };

    private TlsSettings Tls
        => new() { CaFile = Certificates.Authority, CertFile = Certificates.File("client.pem"), KeyFile = Certificates.File("client.key") };

    internal static async Task<SecuredCluster> StartAsync(int monitors = 2)
    {
        var cluster = new SecuredCluster(await Certificates.MakeAsync());
        try
        {
            await cluster.StartServersAsync();
            for (int i = 1; i <= monitors; i++)
            {
                cluster._monitors.Add(
                    await MonitorProcess.StartAsync(cluster.OptionsOf(string.Create(CultureInfo.InvariantCulture, $"m{i}"))));
            }

            await cluster.WaitForAsync("Both nodes are in use", t => t.State == TopologyState.Ok && t.Replicas.Length == 1);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    internal Task<Topology> WaitForAsync(string what, Func<Topology, bool> holds)
        => Eventually.HoldsAsync(
            what, async ct
                => TopologyJson.Parse((await Session.GetDataAsync(Root + "/nodes", null, ct)).Data), holds, TimeSpan.FromSeconds(40),
                    Explain);

    internal async Task<CliResult> ToolAsync(ImmutableArray<string> arguments, bool asOperator = true)
    {
        ImmutableDictionary<string, string?> environment = asOperator
            ? ToolEnvironment.SetItem("REDIS_FAILOVER_ZK_AUTH_FILE", OperatorsAuth)
            : ToolEnvironment;
        await using ChildProcess process = await ChildProcess.StartAsync(
            new ChildProcessOptions("redis-failover", Programs.Dotnet,
                [Programs.Cli, .. arguments, "--zk", ConnectionString]) { Environment = environment });
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(40));
        int code = await process.WaitForExitAsync(limit.Token);
        return new CliResult(code, string.Join('\n', process.Output), string.Join('\n', process.Errors));
    }

    internal string Explain()
        => string.Join("\n\n", _monitors.Select(m => m.Process.Tail(40)).Concat(_redis.Select(r => r.Server.Process.Tail(8))));

    public async ValueTask DisposeAsync()
    {
        foreach (MonitorProcess monitor in _monitors)
        {
            await monitor.DisposeAsync();
        }

        foreach ((RedisServer server, _) in _redis)
        {
            await server.DisposeAsync();
        }

        await (_session?.DisposeAsync() ?? ValueTask.CompletedTask);
        await (_zooKeeper?.DisposeAsync() ?? ValueTask.CompletedTask);
        Certificates.Dispose();
    }

    private async Task StartServersAsync()
    {
        (string node, string nodeKey) = await Certificates.IssueAsync("node");
        await Certificates.IssueAsync("client");
        await File.WriteAllTextAsync(Certificates.File("node-both.pem"), await File.ReadAllTextAsync(nodeKey)
            + await File.ReadAllTextAsync(node));
        await File.WriteAllTextAsync(PasswordFile, "first\n");
        await File.WriteAllTextAsync(MonitorsAuth, "monitors:secret\n");
        await File.WriteAllTextAsync(OperatorsAuth, "operators:hush\n");
        ToolEnvironment = ToolEnvironment
            .Add("REDIS_FAILOVER_ZK_TLS_CA_FILE", Certificates.Authority)
            .Add("REDIS_FAILOVER_ZK_TLS_CERT_FILE", Certificates.File("client.pem"))
            .Add("REDIS_FAILOVER_ZK_TLS_KEY_FILE", Certificates.File("client.key"));
        _securePort = FreePorts.Next();
        _zooKeeper = await ZooKeeperServer.StartAsync(new ZooKeeperServerOptions
        {
            ConfLines =
            [
                string.Create(CultureInfo.InvariantCulture, $"secureClientPort={_securePort}"),
                "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
                $"ssl.keyStore.location={Certificates.File("node-both.pem")}", "ssl.keyStore.type=PEM",
                $"ssl.trustStore.location={Certificates.Authority}", "ssl.trustStore.type=PEM",
            ],
        });
        _session = await ZooKeeperSession.ConnectAsync(new ZooKeeperOptions
        {
            Connection = ZooKeeperConnectionString.Parse(_zooKeeper.ConnectionString), Auth = [ZooKeeperAuth.Digest("monitors", "secret")],
        });
        for (int i = 0; i < 2; i++)
        {
            var address = new NodeAddress("127.0.0.1", FreePorts.Next());
            _redis.Add((await RedisServer.StartAsync(new RedisServerOptions
            {
                Password = "first",
                ReplicaOf = i == 0 ? null : _redis[0].Address,
                AnnouncePort = address.Port,
                ConfLines =
                [
                    string.Create(CultureInfo.InvariantCulture, $"tls-port {address.Port}"),
                    $"tls-cert-file {node}", $"tls-key-file {nodeKey}", $"tls-ca-cert-file {Certificates.Authority}", "tls-replication yes",
                        "tls-auth-clients yes",
                ],
            }), address));
        }
    }

    private MonitorOptions OptionsOf(string id) => new()
    {
        Id = id,
        Nodes = [.. _redis.Select(r => r.Address)],
        ZooKeepers = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_securePort}"),
        ZnodePath = Root,
        SessionTimeout = TimeSpan.FromSeconds(4),
        ProbeTimeout = TimeSpan.FromMilliseconds(500),
        More =
        [
            "--tls", "--tls-ca-file", Certificates.Authority, "--tls-cert-file", Certificates.File("client.pem"), "--tls-key-file",
                Certificates.File("client.key"),
            "--zk-tls-ca-file", Certificates.Authority, "--zk-tls-cert-file", Certificates.File("client.pem"), "--zk-tls-key-file",
                Certificates.File("client.key"),
            "--password-file", PasswordFile, "--zk-auth-file", MonitorsAuth, "--zk-operators",
                $"digest:{ZnodeAcl.Digest("operators", "hush").Id}",
        ],
    };
}
