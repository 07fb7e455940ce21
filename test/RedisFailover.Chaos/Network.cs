using System.Diagnostics;
using System.Globalization;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.Chaos;

/// <summary>
/// Every machine is a network namespace of its own on one bridge. Two are cut apart by giving each a wrong hardware address of the other:
/// frames go nowhere and nobody is told, as with a pulled cable. Without namespaces all share the loopback device and nothing can be cut.
/// </summary>
/// <remarks>
/// The script has put this whole process into private network, mount and process namespaces (unshare): all of it vanishes with the
/// process, however it ends.
/// </remarks>
internal sealed class Network(bool namespaces)
{
    private const string Nobody = "02:ff:ff:ff:ff:ff";
    private readonly Dictionary<(Machine From, Machine To), int> _cuts = [];
    private readonly string _loopback =
        string.Create(CultureInfo.InvariantCulture, $"127.{Random.Shared.Next(100, 250)}.{Random.Shared.Next(1, 250)}.");
    private int _last;

    internal bool CanCut => namespaces;

    internal async Task SetUpAsync()
    {
        if (namespaces)
        {
            await IpAsync(null, "link set lo up", "link add br0 type bridge", "addr add 10.99.0.254/24 dev br0", "link set br0 up");
        }
    }

    /// <summary>One machine more.</summary>
    internal async Task<Machine> AddAsync(string name, string directory)
    {
        int number = ++_last;
        string address = (namespaces ? "10.99.0." : _loopback) + number.ToString(CultureInfo.InvariantCulture);
        Machine machine = new(name, address, number, namespaces ? ["ip", "netns", "exec", name] : [], directory);
        if (namespaces)
        {
            await IpAsync(
                null,
                $"netns add {name}",
                $"link add v-{name} type veth peer name eth0 netns {name}",
                $"link set v-{name} master br0 up");
            await IpAsync(
                name,
                "link set lo up",
                $"link set eth0 address {Hardware(machine)}",
                $"addr add {address}/24 dev eth0",
                "link set eth0 up");
        }

        return machine;
    }

    /// <summary>The processes on these machines are gone; so are the machines.</summary>
    internal async Task RemoveAsync(IEnumerable<Machine> machines)
    {
        if (namespaces)
        {
            // The kernel takes its time over a namespace; the cable's end here goes at once.
            await IpAsync(null, [.. machines.SelectMany(machine => new[] { $"link del v-{machine.Name}", $"netns del {machine.Name}" })]);
        }

        _cuts.Clear();
    }

    /// <summary>
    /// Cuts each of these pairs, both ways, and returns what mends them. A pair that was cut twice is whole when both are mended.
    /// </summary>
    internal async Task<Func<Task>> CutAsync(IEnumerable<(Machine A, Machine B)> pairs)
    {
        (Machine, Machine)[] both = [.. pairs.Where(p => p.A != p.B).SelectMany(p => new[] { (p.A, p.B), (p.B, p.A) }).Distinct()];
        await ChangeAsync(both, +1);
        return () => ChangeAsync(both, -1);
    }

    private async Task ChangeAsync((Machine From, Machine To)[] ways, int by)
    {
        foreach ((Machine From, Machine To) way in ways)
        {
            _cuts[way] = _cuts.GetValueOrDefault(way) + by;
        }

        await Task.WhenAll(ways.GroupBy(way => way.From).Select(from => IpAsync(
            from.Key.Name,
            [.. from.Select(way
                => $"neigh replace {way.To.Address} lladdr {(_cuts[way] > 0 ? Nobody : Hardware(way.To))} nud permanent dev eth0")])));
    }

    private static string Hardware(Machine machine) => $"02:00:00:00:00:{machine.Number:x2}";

    private static async Task IpAsync(string? within, params string[] commands)
    {
        ProcessStartInfo info = new("ip") { RedirectStandardInput = true, RedirectStandardError = true };
        foreach (string argument in within is null ? ["-batch", "-"] : new[] { "-n", within, "-batch", "-" })
        {
            info.ArgumentList.Add(argument);
        }

        using Process ip = await ProcessStarter.StartAsync(info);
        await ip.StandardInput.WriteAsync(string.Join('\n', commands) + "\n");
        ip.StandardInput.Close();
        string errors = await ip.StandardError.ReadToEndAsync();
        await ip.WaitForExitAsync();
        if (ip.ExitCode != 0)
        {
            throw new ChaosException($"ip ({string.Join("; ", commands)}) failed: {errors.Trim()}");
        }
    }
}
