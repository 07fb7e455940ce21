using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using RedisFailover.Monitor.Hosting;

namespace RedisFailover.Monitor.Http;

/// <summary>What is answered under which path; docs/operations.md tells it to people.</summary>
internal sealed class Routes(MonitorService monitor, TimeProvider time)
{
    private const string Json = "application/json; charset=utf-8";

    /// <summary>Load balancers ask by HEAD or, HAProxy where nothing else is said, by OPTIONS: all are answered as GET is.</summary>
    private static readonly string[] Methods = [HttpMethods.Get, HttpMethods.Head, HttpMethods.Options];

    private readonly ConcurrentDictionary<string, ClusterReadings> _readings = new(StringComparer.Ordinal);

    /// <summary>Every path but that of the metrics.</summary>
    internal IReadOnlyList<Route> All =>
    [
        new("/health", "This monitor.", HealthAsync) { IsJson = true, IsOpen = true, Otherwise = "It cannot do its work: its reason." },
        new("/health/live", "Whether the process works.", LiveAsync) { IsOpen = true, Otherwise = "It has failed." },
        new("/health/ready", "Whether this monitor takes part and each topology is known.", ReadyAsync)
        {
            IsOpen = true, Otherwise = "Not yet, and why.",
        },
        new("/problems", "Open problems: the clusters' and this monitor's own.", ProblemsAsync) { IsJson = true },
        new("/clusters", "The names of the clusters.", context => WriteAsync(
            context, StatusCodes.Status200OK, json => ClusterJson.Names(json, monitor.Clusters.Select(c => c.Name)))) { IsJson = true },
        new("/clusters/{name}", "Topology, leader, monitors, nodes as this monitor sees them, problems.", ClusterAsync) { IsJson = true },
        new("/clusters/{name}/history", "The history, as the znode has it.", HistoryAsync)
        {
            IsJson = true, Otherwise = "ZooKeeper cannot be reached.",
        },
        new("/clusters/{name}/nodes/{node}/master", "May writes go to this node (host:port)?", MasterAsync) { Otherwise = "No, and why." },
        new("/clusters/{name}/nodes/{node}/replica", "May reads go to this node (host:port)?", ReplicaAsync)
        {
            Otherwise = "No, and why.", Query = ("max-lag", "It lacks no more than so many bytes: 1048576, 512kb, 1mb."),
        },
        new("/openapi.json", "This description.", context => WriteAsync(
            context, StatusCodes.Status200OK, json => OpenApi.Write(json, All))) { IsJson = true },
    ];

    internal void Map(IEndpointRouteBuilder web)
    {
        foreach (Route route in All)
        {
            web.MapMethods(route.Path, Methods, route.Answer);
        }

        web.MapFallback(context => TextAsync(
            context, StatusCodes.Status404NotFound,
            $"{string.Join(", ", Methods)} are answered. "
                + "There are /health, /health/live, /health/ready, /problems, /clusters, /metrics and /openapi.json."));
    }

    private Task HealthAsync(HttpContext context)
    {
        MonitorHealth health = monitor.Health();
        context.Response.StatusCode = health.Reason is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable;
        return context.Response.WriteAsJsonAsync(health, MonitorJson.Default.MonitorHealth, cancellationToken: context.RequestAborted);
    }

    /// <summary>Whether this process works. That ZooKeeper is away is no reason to start it anew.</summary>
    private Task LiveAsync(HttpContext context)
        => monitor.HasFailed
            ? TextAsync(context, StatusCodes.Status503ServiceUnavailable, "failed")
            : TextAsync(context, StatusCodes.Status200OK, "ok");

    /// <summary>Whether this monitor does its work: as its health, and each topology is known.</summary>
    private Task ReadyAsync(HttpContext context)
    {
        ClusterMonitor[] clusters = [.. monitor.Clusters];
        string? lacks = monitor.Health().Reason is { } reason ? reason
            : clusters.FirstOrDefault(c => c.View.Topology is null) is not { } unknown ? null
            : clusters.Length == 1 ? "the topology is not known yet" : $"the topology of {unknown.Name} is not known yet";
        return TextAsync(context, lacks is null ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, lacks ?? "ok");
    }

    /// <summary>The clusters' problems, as the leading monitors tell them, and this monitor's own.</summary>
    private async Task ProblemsAsync(HttpContext context)
    {
        ClusterMonitor[] clusters = [.. monitor.Clusters];
        ClusterReading?[] readings = await Task.WhenAll(clusters.Select(ReadingAsync));
        var all = clusters.Zip(readings, (cluster, reading) => (monitor.HasMany ? cluster.Name : null, reading, cluster.Problems.Own));
        await WriteAsync(context, StatusCodes.Status200OK, json => ClusterJson.Problems(json, all));
    }

    private async Task ClusterAsync(HttpContext context)
    {
        if (await FindAsync(context) is not { } cluster)
        {
            return;
        }

        ClusterReading? reading = await ReadingAsync(cluster);
        await WriteAsync(
            context, StatusCodes.Status200OK, json => ClusterJson.Cluster(json, cluster.Name, cluster.View, reading, cluster.Problems.Own));
    }

    private async Task HistoryAsync(HttpContext context)
    {
        if (await FindAsync(context) is not { } cluster)
        {
            return;
        }

        if (await ReadingAsync(cluster) is { } reading)
        {
            await WriteAsync(context, StatusCodes.Status200OK, json => ClusterJson.Raw(json, reading.History));
        }
        else
        {
            await TextAsync(context, StatusCodes.Status503ServiceUnavailable, "ZooKeeper cannot be reached");
        }
    }

    private Task MasterAsync(HttpContext context) => CheckAsync(context, NodeCheck.IsMaster);

    private Task ReplicaAsync(HttpContext context)
    {
        string? given = context.Request.Query["max-lag"];
        if (given is not null && NodeCheck.Bytes(given) is null)
        {
            return TextAsync(
                context, StatusCodes.Status400BadRequest, $"max-lag: '{given}' is not allowed; allowed: bytes, as 1048576, 512kb or 1mb");
        }

        return CheckAsync(context, (view, node) => NodeCheck.IsReplica(view, node, given is null ? null : NodeCheck.Bytes(given)));
    }

    private async Task CheckAsync(HttpContext context, Func<ClusterView, NodeAddress, (bool Yes, string Why)> ask)
    {
        if (await FindAsync(context) is not { } cluster)
        {
            return;
        }

        string given = (string)context.Request.RouteValues["node"]!;
        if (!NodeAddress.TryParse(given, out NodeAddress? node))
        {
            await TextAsync(context, StatusCodes.Status400BadRequest, $"'{given}' is no node; allowed: host:port");
            return;
        }

        // What it knew when it stood still says nothing of now.
        (bool yes, string why) = cluster.IsTurning
            ? ask(cluster.Answers, node) : (false, "this monitor does not work for the cluster at present");
        await TextAsync(context, yes ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, why);
    }

    /// <summary>The cluster that the path names; null where there is none, which is answered then.</summary>
    private async Task<ClusterMonitor?> FindAsync(HttpContext context)
    {
        if (monitor.Find((string)context.Request.RouteValues["name"]!) is { } cluster)
        {
            return cluster;
        }

        await TextAsync(
            context, StatusCodes.Status404NotFound,
                $"There is no such cluster; there is {string.Join(", ", monitor.Clusters.Select(c => c.Name))}.");
        return null;
    }

    private Task<ClusterReading?> ReadingAsync(ClusterMonitor cluster)
        => _readings.GetOrAdd(
            cluster.Options.ZnodePath, static (path, of)
                => new ClusterReadings(of.Monitor, new ZnodePaths(path), of.Time), (Monitor: monitor, Time: time))
            .NowAsync();

    private static Task TextAsync(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        return context.Response.WriteAsync(text + "\n", context.RequestAborted);
    }

    private static async Task WriteAsync(HttpContext context, int status, Action<Utf8JsonWriter> write)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = Json;
        using var buffer = new MemoryStream();
        await using (var json = new Utf8JsonWriter(buffer, ClusterJson.Options))
        {
            write(json);
        }

        buffer.WriteByte((byte)'\n');
        await context.Response.Body.WriteAsync(buffer.GetBuffer().AsMemory(0, (int)buffer.Length), context.RequestAborted);
    }
}
