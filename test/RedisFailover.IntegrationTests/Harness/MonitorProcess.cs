using System.Collections.Immutable;
using System.Globalization;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>How to start a monitor. What is null is not given on the command line.</summary>
public sealed record MonitorOptions
{
    public string? Id { get; init; }

    public ImmutableArray<NodeAddress> Nodes { get; init; } = [];

    /// <summary>"h:p,h:p".</summary>
    public string? ZooKeepers { get; init; }

    public string? ZnodePath { get; init; }

    public TimeSpan? SessionTimeout { get; init; }

    public TimeSpan? ProbeTimeout { get; init; }

    public int? MaxFailures { get; init; }

    public string? Password { get; init; }

    /// <summary>The monitor's own file; null for the one that was built with the tests.</summary>
    public string? Program { get; init; }

    /// <summary>Added at the end, as they are.</summary>
    public ImmutableArray<string> More { get; init; } = [];

    /// <summary>Where it runs; null for here.</summary>
    public Machine? Machine { get; init; }

    public ImmutableDictionary<string, string?> Environment { get; init; } = ImmutableDictionary<string, string?>.Empty;

    internal ImmutableArray<string> ToArguments()
    {
        List<string> arguments = [];
        Add("--id", Id);
        Add("--nodes", Nodes.IsEmpty ? null : string.Join(',', Nodes));
        Add("--zkservers", ZooKeepers);
        Add("--znode-path", ZnodePath);
        Add("--session-timeout", Milliseconds(SessionTimeout));
        Add("--probe-timeout", Milliseconds(ProbeTimeout));
        Add("--max-failures", MaxFailures?.ToString(CultureInfo.InvariantCulture));
        return [.. arguments, .. More];

        void Add(string option, string? value)
        {
            if (value is not null)
            {
                arguments.Add(option);
                arguments.Add(value);
            }
        }

        static string? Milliseconds(TimeSpan? time) => time?.TotalMilliseconds.ToString("0", CultureInfo.InvariantCulture);
    }
}

/// <summary>A real redis-failover-monitor, as it was built.</summary>
public sealed class MonitorProcess : IAsyncDisposable
{
    private readonly MonitorOptions _options;
    private ChildProcess _process;

    private MonitorProcess(MonitorOptions options, ChildProcess process)
    {
        _options = options;
        _process = process;
    }

    /// <summary>The id that it was given; monitors started without one choose their own.</summary>
    public string Id => _options.Id ?? "";

    public MonitorOptions Options => _options;

    public ChildProcess Process => _process;

    public int Pid => _process.Pid;

    /// <summary>Returns as soon as the process runs: what it does then is seen in ZooKeeper and in its log.</summary>
    public static async Task<MonitorProcess> StartAsync(MonitorOptions options, CancellationToken ct = default)
        => new(options, await StartProcessAsync(options, ct));

    /// <summary>kill -9; returns at once.</summary>
    public void Kill() => _process.Kill();

    public Task KillAsync(CancellationToken ct = default) => _process.KillAsync(ct);

    public void Freeze() => _process.Freeze();

    public void Thaw() => _process.Thaw();

    /// <summary>SIGTERM; returns the exit code.</summary>
    public async Task<int> TerminateAsync(CancellationToken ct = default)
    {
        _process.Terminate();
        return await _process.WaitForExitAsync(ct);
    }

    public async Task RestartAsync(CancellationToken ct = default)
    {
        await _process.DisposeAsync();
        _process = await StartProcessAsync(_options, ct);
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    /// <summary>
    /// Methods that are not compiled ahead are compiled in haste and once. A monitor compiles them at length, for a life of months; those
    /// of the tests live for seconds, and half of a whole run's processor time went into that.
    /// </summary>
    private static readonly ImmutableDictionary<string, string?> s_shortLife = new Dictionary<string, string?>
    {
        ["DOTNET_TieredCompilation"] = "1", ["DOTNET_TieredPGO"] = "0", ["DOTNET_TC_CallCounting"] = "0",
    }.ToImmutableDictionary();

    private static Task<ChildProcess> StartProcessAsync(MonitorOptions options, CancellationToken ct)
    {
        ImmutableDictionary<string, string?> environment = s_shortLife.SetItems(options.Environment);
        ImmutableArray<string> command = [.. options.Machine?.Prefix ?? [], Programs.Dotnet, options.Program ?? Programs.Monitor,
            .. options.ToArguments()];
        return ChildProcess.StartAsync(
            new ChildProcessOptions($"monitor {options.Id}", command[0], command[1..])
            {
                Environment = options.Password is null ? environment : environment.SetItem("REDIS_FAILOVER_PASSWORD", options.Password),
            },
            ct);
    }
}
