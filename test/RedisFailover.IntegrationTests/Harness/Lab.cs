using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace RedisFailover.IntegrationTests.Harness;

/// <summary>
/// A few machines on one switch, as far as the network goes: each a network namespace with an address of its own. Two of them can be
/// cut apart as by a pulled cable: nobody is refused or reset, packets go nowhere.
/// </summary>
/// <remarks>Needs root and iproute2. A namespace lives as long as the sleeping process that holds it, which ends with the tests.</remarks>
public sealed class Lab : IAsyncDisposable
{
    internal const string Nobody = "02:ff:ff:ff:ff:ff";
    private readonly List<Machine> _machines = [];
    private readonly Holder _switch;

    private Lab(Holder @switch) => _switch = @switch;

    /// <summary>Null where there can be machines; else what is missing.</summary>
    public static string? Missing
        => !OperatingSystem.IsLinux() ? "network namespaces need Linux"
            : geteuid() != 0 ? "network namespaces need root"
            : Programs.Find("ip") is null ? "network namespaces need iproute2"
            : Programs.Find("nsenter") is null || Programs.Find("unshare") is null ? "network namespaces need unshare and nsenter"
            : null;

    public static async Task<Lab> StartAsync()
    {
        Lab lab = new(await Holder.StartAsync("switch"));
        await lab._switch.IpAsync("link add br0 type bridge", "link set br0 up");
        return lab;
    }

    /// <summary>One machine more, which all others reach.</summary>
    public async Task<Machine> AddAsync(string name)
    {
        int number = _machines.Count + 1;
        Holder holder = await Holder.StartAsync(name);
        Machine machine = new(holder, string.Create(CultureInfo.InvariantCulture, $"10.99.0.{number}"), number);
        _machines.Add(machine);
        await _switch.IpAsync(
            string.Create(CultureInfo.InvariantCulture, $"link add v{number} type veth peer name eth0 netns {holder.Pid}"),
            string.Create(CultureInfo.InvariantCulture, $"link set v{number} master br0 up"));
        await holder.IpAsync($"link set eth0 address {machine.Hardware}", $"addr add {machine.Address}/24 dev eth0", "link set eth0 up");
        return machine;
    }

    /// <summary>Pulls the cable between the two.</summary>
    public static Task CutAsync(Machine one, Machine other)
        => Task.WhenAll(NeighbourAsync(one, other, Nobody), NeighbourAsync(other, one, Nobody));

    /// <summary>Ends <see cref="CutAsync"/>.</summary>
    public static Task MendAsync(Machine one, Machine other)
        => Task.WhenAll(NeighbourAsync(one, other, other.Hardware), NeighbourAsync(other, one, one.Hardware));

    public async ValueTask DisposeAsync()
    {
        foreach (Machine machine in _machines)
        {
            await machine.DisposeAsync();
        }

        await _switch.DisposeAsync();
    }

    private static Task NeighbourAsync(Machine on, Machine of, string hardware)
        => on.IpAsync($"neigh replace {of.Address} lladdr {hardware} nud permanent dev eth0");

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern uint geteuid();
}

/// <summary>A machine of a <see cref="Lab"/>: its own network, names and name server; the files and processes are everybody's.</summary>
public sealed class Machine : IAsyncDisposable
{
    private readonly Holder _holder;

    internal Machine(Holder holder, string address, int number)
    {
        _holder = holder;
        Address = address;
        Hardware = string.Create(CultureInfo.InvariantCulture, $"02:00:00:00:00:{number:x2}");
    }

    public string Address { get; }

    internal string Hardware { get; }

    /// <summary>What to put before a command so that it runs here. The process id stays that of the command.</summary>
    public string[] Prefix => ["nsenter", "-t", _holder.Pid.ToString(CultureInfo.InvariantCulture), "-n", "-m", "--"];

    /// <summary>A socket of this machine, for use by the test.</summary>
    public Socket NewSocket() => _holder.NewSocket();

    /// <summary>The machine's /etc/hosts, from now on.</summary>
    public void SetHosts(params string[] lines) => File.WriteAllLines(_holder.HostsFile, ["127.0.0.1 localhost", .. lines]);

    /// <summary>The machine's name server; packets to it are swallowed unless it is one of the lab's machines.</summary>
    public void SetNameServer(string address) => File.WriteAllLines(_holder.ResolverFile, [$"nameserver {address}"]);

    /// <summary>From now on packets to this address are swallowed: nobody answers, nobody refuses.</summary>
    public Task SwallowAsync(string address)
        => IpAsync($"route replace {address}/32 dev eth0", $"neigh replace {address} lladdr {Lab.Nobody} nud permanent dev eth0");

    /// <summary>Commands of ip(8), in order.</summary>
    public Task IpAsync(params string[] commands) => _holder.IpAsync(commands);

    public ValueTask DisposeAsync() => _holder.DisposeAsync();
}

/// <summary>A sleeping process in namespaces of its own.</summary>
internal sealed class Holder : IAsyncDisposable
{
    private const int NetworkNamespace = 0x40000000;
    private readonly ChildProcess _process;
    private readonly TemporaryDirectory _directory;

    private Holder(ChildProcess process, TemporaryDirectory directory)
    {
        _process = process;
        _directory = directory;
    }

    internal int Pid => _process.Pid;

    internal string HostsFile => _directory.File("hosts");

    internal string ResolverFile => _directory.File("resolv.conf");

    internal static async Task<Holder> StartAsync(string name)
    {
        TemporaryDirectory directory = new(name);
        await File.WriteAllTextAsync(directory.File("hosts"), "127.0.0.1 localhost\n");
        await File.WriteAllTextAsync(directory.File("resolv.conf"), "");
        string[] script =
        [
            "-c",
            "mount --bind \"$1/hosts\" /etc/hosts && mount --bind \"$1/resolv.conf\" /etc/resolv.conf && ip link set lo up && echo ready "
                + "&& exec sleep infinity",
            "sh", directory.Path,
        ];
        ChildProcess process = await ChildProcess.StartAsync(
            new ChildProcessOptions(name, "unshare", ["--net", "--mount", "--propagation", "private", "/bin/sh", .. script]));
        await process.WaitForLineAsync(line => line == "ready");
        return new Holder(process, directory);
    }

    internal async Task IpAsync(params string[] commands)
    {
        ProcessStartInfo info = new("nsenter") { RedirectStandardInput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["-t", Pid.ToString(CultureInfo.InvariantCulture), "-n", "--", "ip", "-batch", "-"])
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
            throw new InvalidOperationException($"ip ({string.Join("; ", commands)}) failed: {errors.Trim()}");
        }
    }

    /// <summary>
    /// A socket belongs to the namespace in which it was made, whoever uses it then: it is made by a thread that goes there and ends.
    /// </summary>
    internal Socket NewSocket()
    {
        Socket? socket = null;
        int error = 0;
        Thread thread = new(() =>
        {
            int file = open(string.Create(CultureInfo.InvariantCulture, $"/proc/{Pid}/ns/net"), 0);
            if (file >= 0 && setns(file, NetworkNamespace) == 0)
            {
                socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            }
            else
            {
                error = Marshal.GetLastPInvokeError();
            }

            _ = close(file);
        });
        thread.Start();
        thread.Join();
        return socket ?? throw new InvalidOperationException($"setns failed with errno {error}.");
    }

    public async ValueTask DisposeAsync()
    {
        await _process.DisposeAsync();
        _directory.Dispose();
    }

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int setns(int fd, int kind);

    // A FileStream would seek, which the kernel does not allow here.
    [DllImport("libc", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int open(string path, int flags);

    [DllImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int close(int fd);
}
