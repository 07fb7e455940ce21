using System.Collections.Immutable;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>How to start a ZooKeeper server.</summary>
public sealed record ZooKeeperServerOptions
{
    /// <summary>In milliseconds. A session's timeout lies between 2 and 20 ticks: 500 allows 1 to 10 seconds.</summary>
    public int TickTime { get; init; } = 500;

    public int? Port { get; init; }

    /// <summary>Tests lose nothing when the machine loses its power; the benchmark measures with the default of ZooKeeper, true.</summary>
    public bool ForceSync { get; init; }

    public ImmutableArray<string> ConfLines { get; init; } = [];

    /// <summary>Where it runs: on that machine's loopback device, and through a proxy by the same address here.</summary>
    public Machine? Machine { get; init; }

    /// <summary>Given by the ensemble: this server's number and everybody's quorum and election ports.</summary>
    internal int Id { get; init; }

    internal ImmutableArray<(int Quorum, int Election)> Peers { get; init; } = [];
}

/// <summary>
/// A real ZooKeeper server, alone or one of an ensemble. Its data survive <see cref="KillAsync"/> and <see cref="StopAsync"/>.
/// </summary>
public sealed class ZooKeeperServer : IAsyncDisposable
{
    private const string Loaded = "PrepRequestProcessor (sid:0) started";
    private static readonly TimeSpan StartDeadline = TimeSpan.FromSeconds(90);
    private readonly ZooKeeperServerOptions _options;
    private readonly TemporaryDirectory _directory;
    private readonly FaultProxy? _proxy;
    private ChildProcess? _process;

    internal ZooKeeperServer(ZooKeeperServerOptions options)
    {
        _options = options;
        Port = options.Port ?? FreePorts.Next();
        _proxy = options.Machine is { } machine ? FaultProxy.StartInto(machine, Port) : null;
        _directory = new TemporaryDirectory($"zookeeper-{Port}");
        File.WriteAllLines(_directory.File("zoo.cfg"), Conf());
        if (!options.Peers.IsEmpty)
        {
            Directory.CreateDirectory(DataDirectory);
            File.WriteAllText(Path.Combine(DataDirectory, "myid"), options.Id.ToString(CultureInfo.InvariantCulture));
        }
    }

    public int Port { get; }

    /// <summary>"127.0.0.1:port", for a connection string.</summary>
    public string ConnectionString => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{Port}");

    public ChildProcess Process => _process ?? throw new InvalidOperationException("ZooKeeper has not been started.");

    private string DataDirectory => _directory.File("data");

    public static async Task<ZooKeeperServer> StartAsync(ZooKeeperServerOptions? options = null, CancellationToken ct = default)
    {
        ZooKeeperServer server = new(options ?? new ZooKeeperServerOptions());
        try
        {
            await server.StartAsync(ct);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts it (again), with the data that it had, and waits until it serves.</summary>
    public async Task StartAsync(CancellationToken ct = default)
    {
        await StartProcessAsync(ct);
        await WaitUntilServingAsync(ct);
    }

    public Task KillAsync(CancellationToken ct = default) => Process.KillAsync(ct);

    /// <summary>SIGTERM, and waits for the end.</summary>
    public async Task StopAsync(CancellationToken ct = default)
    {
        Process.Terminate();
        await Process.WaitForExitAsync(ct);
    }

    /// <summary>
    /// Kills it and deletes all its data, as an operator who starts over does. The next <see cref="StartAsync(CancellationToken)"/>
    /// finds nothing.
    /// </summary>
    public async Task KillAndWipeAsync(CancellationToken ct = default)
    {
        await KillAsync(ct);
        Directory.Delete(Path.Combine(DataDirectory, "version-2"), recursive: true);
    }

    public void Freeze() => Process.Freeze();

    public void Thaw() => Process.Thaw();

    /// <summary>"standalone", "leader" or "follower"; null while it does not serve.</summary>
    public async Task<string?> ModeAsync(CancellationToken ct = default)
    {
        string? line = (await FourLetterAsync("srvr", ct)).Split('\n')
            .FirstOrDefault(line => line.StartsWith("Mode: ", StringComparison.Ordinal));
        return line?["Mode: ".Length..].Trim();
    }

    /// <summary>The answer to a four letter word: srvr, mntr, cons, dump ...</summary>
    public async Task<string> FourLetterAsync(string word, CancellationToken ct = default)
    {
        using TcpClient client = new();
        await client.ConnectAsync("127.0.0.1", Port, ct);
        NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(word), ct);
        using StreamReader reader = new(stream);
        return await reader.ReadToEndAsync(ct);
    }

    /// <summary>Runs zkCli.sh against this server, as an operator would, and returns what it printed.</summary>
    public async Task<string> CliAsync(ImmutableArray<string> command, CancellationToken ct = default)
    {
        await using ChildProcess cli = await ChildProcess.StartAsync(
            new ChildProcessOptions("zkCli.sh", Programs.Find("bash")!, [Programs.ZooKeeperCli, "-server", ConnectionString, .. command])
            {
                WorkingDirectory = _directory.Path,
            },
            ct);
        await cli.WaitForExitAsync(ct);
        return string.Join('\n', cli.Log);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
        }

        if (_proxy is not null)
        {
            await _proxy.DisposeAsync();
        }

        _directory.Dispose();
    }

    internal async Task StartProcessAsync(CancellationToken ct)
    {
        if (_process is not null)
        {
            await _process.DisposeAsync();
        }

        // Started as it is, not through zkServer.sh: a signal must reach the server and not a shell. The small heap, one collector thread
        // and the quick compiler alone make it cheap to have several of them on one machine.
        ImmutableArray<string> command =
        [
                .. _options.Machine?.Prefix
                    ?? [], Programs.Java, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
                "-Djava.net.preferIPv4Stack=true",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
                $"-Dzookeeper.forceSync={(_options.ForceSync ? "yes" : "no")}",
                "-cp", Programs.ZooKeeperClassPath,
                "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                _directory.File("zoo.cfg"),
            ];
        _process = await ChildProcess.StartAsync(
            new ChildProcessOptions($"zookeeper {ConnectionString}", command[0], command[1..]) { WorkingDirectory = _directory.Path }, ct);
    }

    /// <summary>
    /// ZooKeeper 3.8 has a bug: a standalone server to which anybody connects while it loads its data stops listening and stays so. We do
    /// not ask before its log says that it has loaded them; when somebody else did (a monitor that tries again and again), it is
    /// started anew.
    /// </summary>
    internal async Task WaitUntilServingAsync(CancellationToken ct)
    {
        if (_options.Peers.IsEmpty && Programs.ZooKeeperLogs)
        {
            string line;
            while (!(line = await Process.WaitForLineAsync(IsLoadedOrBroken, StartDeadline, ct)).Contains(Loaded, StringComparison.Ordinal))
            {
                await StartProcessAsync(ct);
            }
        }

        await Eventually.HoldsAsync(
            $"ZooKeeper on port {Port} serves", ModeAsync, mode => mode is not null, StartDeadline, () => Process.Tail(), ct);
    }

    private static bool IsLoadedOrBroken(string line)
        => line.Contains(Loaded, StringComparison.Ordinal) || line.Contains("\"this.zkDb\" is null", StringComparison.Ordinal);

    private IEnumerable<string> Conf()
    {
        yield return string.Create(CultureInfo.InvariantCulture, $"tickTime={_options.TickTime}");
        yield return $"dataDir={DataDirectory}";
        yield return string.Create(CultureInfo.InvariantCulture, $"clientPort={Port}");
        yield return "clientPortAddress=127.0.0.1";
        yield return "4lw.commands.whitelist=*";
        yield return "admin.enableServer=false";
        yield return "maxClientCnxns=0";
        yield return "autopurge.purgeInterval=0";
        if (!_options.Peers.IsEmpty)
        {
            yield return "initLimit=20";
            yield return "syncLimit=4";
            for (int i = 0; i < _options.Peers.Length; i++)
            {
                yield return string.Create(CultureInfo.InvariantCulture,
                    $"server.{i + 1}=127.0.0.1:{_options.Peers[i].Quorum}:{_options.Peers[i].Election}");
            }
        }

        foreach (string line in _options.ConfLines)
        {
            yield return line;
        }
    }
}
