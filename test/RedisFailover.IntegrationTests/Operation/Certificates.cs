using System.Diagnostics;
using RedisFailover.IntegrationTests.Harness;

namespace RedisFailover.IntegrationTests.Operation;

/// <summary>An authority and certificates in PEM files, made by openssl as an operator would make them.</summary>
internal sealed class Certificates : IDisposable
{
    private readonly TemporaryDirectory _directory = new("certificates");

    private Certificates()
    {
    }

    internal string Authority => File("ca.pem");

    internal static async Task<Certificates> MakeAsync()
    {
        var made = new Certificates();
        await RunAsync("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout",
            made.File("ca.key"), "-out", made.Authority);
        return made;
    }

    /// <summary>A certificate for this host with its key; made anew where it is there.</summary>
    internal async Task<(string Certificate, string Key)> IssueAsync(string name)
    {
        (string certificate, string key, string request, string names) =
            (File($"{name}.pem"), File($"{name}.key"), File($"{name}.csr"), File($"{name}.ext"));
        await System.IO.File.WriteAllTextAsync(names, "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
        await RunAsync("req", "-newkey", "rsa:2048", "-nodes", "-subj", $"/CN={name}", "-keyout", key, "-out", request);
        await RunAsync("x509", "-req", "-days", "2", "-in", request, "-CA", Authority, "-CAkey", File("ca.key"), "-CAcreateserial",
            "-extfile", names, "-out", certificate);
        return (certificate, key);
    }

    internal string File(string name) => _directory.File(name);

    public void Dispose() => _directory.Dispose();

    private static async Task RunAsync(params string[] arguments)
    {
        using Process openssl = Process.Start(new ProcessStartInfo("openssl", arguments) { RedirectStandardError = true })!;
        string errors = await openssl.StandardError.ReadToEndAsync();
        await openssl.WaitForExitAsync();
        if (openssl.ExitCode != 0)
        {
            throw new InvalidOperationException($"openssl {string.Join(' ', arguments)}: {errors}");
        }
    }
}
